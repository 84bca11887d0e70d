"""The first layer of read-only: one statement, a query, nothing in it that writes or reaches out.

The parser's tree is judged, not the text, so a string that says DROP TABLE is a string. What
cannot be parsed is refused. The second layer is the warehouse itself: a read-only session, one
statement a call, and a role that cannot write.
"""

import logging
from collections.abc import Iterable

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from connectors.errors import SqlRefused

MAX_SQL_CHARS = 100_000

# The parser logs statements it cannot place, with their text; queries do not belong in logs.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

WRITES = (
    exp.DML, exp.DDL, exp.Alter, exp.Analyze, exp.Attach, exp.Block, exp.Cache, exp.Command,
    exp.Comment, exp.Commit, exp.Copy, exp.Declare, exp.Describe, exp.Detach, exp.Drop,
    exp.Execute, exp.Export, exp.Get, exp.Grant, exp.IfBlock, exp.Kill, exp.LoadData, exp.Pragma,
    exp.Put, exp.Refresh, exp.Revoke, exp.Rollback, exp.Set, exp.Show, exp.Transaction,
    exp.TruncateTable, exp.Uncache, exp.Use, exp.WhileBlock,
)  # fmt: skip


def check(sql: str, dialect: str, *, refused_functions: frozenset[str] = frozenset()) -> None:
    """Return quietly when ``sql`` is one read-only query of ``dialect``; else raise SqlRefused.

    ``refused_functions`` are lower-case names a provider cannot let through. Reasons:
    ``empty``, ``too_long``, ``too_deep``, ``unparseable``, ``multiple_statements``,
    ``not_a_query``, ``writes``, ``select_into``, ``locks_rows``, ``reads_stage``, ``function``.
    """
    tree = _parse_one(sql, dialect)
    if not isinstance(tree, exp.Query):
        raise SqlRefused("not_a_query", "Only a query may be run here.")
    for node in tree.walk():
        _judge(node, refused_functions)


def _parse_one(sql: str, dialect: str) -> exp.Expr:
    if len(sql) > MAX_SQL_CHARS:
        raise SqlRefused(
            "too_long",
            f"The query has more than {MAX_SQL_CHARS:,} characters.",
            hint="Put long lists of values in a table and join it.",
        )
    if "\x00" in sql:
        raise SqlRefused("unparseable", "The query holds a NUL character.")
    try:
        statements = _without_empty(sqlglot.parse(sql, read=dialect))
    except RecursionError:
        raise SqlRefused("too_deep", "The query is nested too deeply.") from None
    except SqlglotError:
        raise SqlRefused("unparseable", "The query cannot be parsed.") from None
    if not statements:
        raise SqlRefused("empty", "There is no query.")
    if len(statements) > 1:
        raise SqlRefused("multiple_statements", "Only one statement may be sent at a time.")
    return statements[0]


def _without_empty(statements: Iterable[exp.Expr | None]) -> list[exp.Expr]:
    return [s for s in statements if s is not None and not isinstance(s, exp.Semicolon)]


def _judge(node: exp.Expr, refused_functions: frozenset[str]) -> None:
    match node:
        case exp.Into():
            raise SqlRefused("select_into", "SELECT … INTO creates a table.")
        case exp.Lock():
            raise SqlRefused("locks_rows", "FOR UPDATE and FOR SHARE lock rows.")
        case _ if isinstance(node, WRITES):
            raise SqlRefused("writes", f"{node.key.upper()} is not part of a read-only query.")
        case exp.Table() if _is_stage(node):
            raise SqlRefused("reads_stage", "Files of a stage cannot be read here.")
        case exp.Column() if node.table and node.name.lower() in refused_functions:
            # Snowflake calls a sequence as a column: some_sequence.NEXTVAL.
            raise SqlRefused("function", f"{node.name} is not allowed here.")
        case exp.Func() if _function_name(node) in refused_functions:
            name = _function_name(node)
            raise SqlRefused("function", f"The function {name} is not allowed here.")


def _is_stage(table: exp.Table) -> bool:
    return isinstance(table.this, exp.Var) or str(table.this).lstrip("'\"").startswith("@")


def _function_name(node: exp.Func) -> str:
    name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
    return name.lower()
