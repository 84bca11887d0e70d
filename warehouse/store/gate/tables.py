"""Every table that a query names becomes one of the team's database, or is one of its own CTEs."""

from collections.abc import Iterator

from sqlglot import exp

from connectors.errors import SqlRefused
from warehouse.store.names import RESULTS


def resolve(tree: exp.Expr, database: str) -> None:
    """Qualify each table with ``database``, in place. Raises SqlRefused: another database, a
    function in the place of a table, or a table that holds the answer of a warehouse."""
    for table in list(tree.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier):
            raise SqlRefused("table_function", "Only tables can be read, no table functions.")
        if table.args.get("catalog") or (table.args.get("db") and table.db != database):
            raise SqlRefused(
                "table",
                f"The table {table.name} would be read from another database.",
                hint="Name a table without a database.",
            )
        if not table.args.get("db") and _is_cte(table):
            continue
        if table.name.lower().startswith(RESULTS):
            raise SqlRefused("table", f"The table {table.name} is not for queries.")
        table.set("db", exp.to_identifier(database, quoted=True))
        if not table.alias:
            # Columns may be named with their table before them, and have no database there.
            table.set("alias", exp.TableAlias(this=table.this.copy()))


def _is_cte(table: exp.Table) -> bool:
    """Whether the name is that of a WITH around it: what stands before it there, or recurs."""
    through: exp.CTE | None = None
    for outer in _ancestors(table):
        if isinstance(outer, exp.CTE):
            through = outer
            continue
        clause = outer.args.get("with_")
        if isinstance(clause, exp.With) and table.name in _visible(clause, through):
            return True
    return False


def _visible(clause: exp.With, through: exp.CTE | None) -> set[str]:
    """Names of a WITH that can be read from inside one of its members, or from what follows it."""
    names: set[str] = set()
    for cte in clause.expressions:
        if cte is through and not clause.recursive:
            break
        # WITH 1 AS x names a value, not a table.
        if not cte.args.get("scalar"):
            names.add(cte.alias)
        if cte is through:
            break
    return names


def _ancestors(node: exp.Expr) -> Iterator[exp.Expr]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent
