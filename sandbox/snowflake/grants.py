"""SHOW GRANTS TO ROLE: what the configured roles may do, in Snowflake's words."""

from sandbox.snowflake import results
from sandbox.snowflake.columns import ResultColumn
from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import missing
from sandbox.snowflake.names import fold_text
from sandbox.snowflake.results import Result

# Every user has it, and it may do nothing here.
_PUBLIC = "PUBLIC"
_COLUMNS = ["created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name",
            "grant_option", "granted_by"]  # fmt: skip


def show(context: Context, written: str) -> Result:
    """List what was granted to one role; raises SqlError when there is none of that name."""
    role, config = fold_text(written), context.account.config
    if role not in config.roles and role != _PUBLIC:
        raise missing("Role", role)
    granted = [] if role == _PUBLIC else _granted(context, role)
    rows = [
        [None, privilege, kind, name, "ROLE", role, "false", "SYSADMIN"]
        for privilege, kind, name in granted
    ]
    return results.table_of([ResultColumn(name) for name in _COLUMNS], rows, results.SHOW)


def _granted(context: Context, role: str) -> list[tuple[str, str, str]]:
    config = context.account.config
    on_databases = "OWNERSHIP" if config.roles[role] else "USAGE"
    return [
        *(("USAGE", "WAREHOUSE", name) for name in config.warehouses),
        *((on_databases, "DATABASE", name) for name in context.engine.databases()),
        *(("USAGE", "ROLE", name) for name in config.inherited_roles.get(role, ())),
    ]
