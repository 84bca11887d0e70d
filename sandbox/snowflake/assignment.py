"""Values Snowflake does not put into a column without a cast, and duckdb would."""

from collections.abc import Sequence

from sqlglot import exp

from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import wrong_type
from sandbox.snowflake.names import fold
from sandbox.snowflake.parse import target_of
from sandbox.snowflake.translate import to_duckdb

# By what duckdb stores: the sources refused, with Snowflake's words for target and source.
_REFUSED = {
    "JSON": {"VARCHAR": ("VARIANT", "VARCHAR(16777216)")},
    "TIMESTAMP": {"TIMESTAMP WITH TIME ZONE": ("TIMESTAMP_NTZ(9)", "TIMESTAMP_TZ(9)")},
}


def check_insert(context: Context, statement: exp.Insert) -> None:
    """Raise SqlError for an INSERT that needs a cast."""
    columns = _columns(context, statement)
    if isinstance(statement.this, exp.Schema):
        names = [fold(name) or "" for name in statement.this.expressions]
        columns = {name: columns[name] for name in names if name in columns}
    source = statement.expression
    if not _worth_checking(columns) or not isinstance(source, exp.Query | exp.Values):
        return
    query: exp.Expr
    if isinstance(source, exp.Values):
        # The first row speaks for the others: there may be thousands.
        first = exp.Values(expressions=[source.expressions[0].copy()])
        query = exp.select("*").from_(first)
    else:
        query = source.copy()
    if with_ := statement.args.get("with_"):
        query.set("with_", with_.copy())
    _check(list(columns.items()), _types(context, query))


def check_update(context: Context, statement: exp.Update) -> None:
    """Raise SqlError for an UPDATE with an assignment that needs a cast."""
    assigned = [(fold(one.this.this) or "", one.expression) for one in statement.expressions]
    _check_assigned(context, statement, assigned, statement.args.get("from_"))


def check_merge(context: Context, statement: exp.Merge) -> None:
    """Raise SqlError for a MERGE with an assignment that needs a cast."""
    names = list(_columns(context, statement))
    _check_assigned(context, statement, _assignments(statement, names), statement.args["using"])


def _check_assigned(
    context: Context,
    statement: exp.Update | exp.Merge,
    assigned: list[tuple[str, exp.Expr]],
    source: exp.Expr | None,
) -> None:
    columns = _columns(context, statement)
    assigned = [(name, value) for name, value in assigned if name in columns]
    if not assigned or not _worth_checking(columns):
        return
    query = exp.select(*(value.copy() for _, value in assigned)).from_(statement.this.copy())
    if source is not None:
        joined = source.this if isinstance(source, exp.From) else source
        query = query.join(joined.copy(), join_type="cross")
    _check([(name, columns[name]) for name, _ in assigned], _types(context, query))


def _assignments(statement: exp.Merge, names: list[str]) -> list[tuple[str, exp.Expr]]:
    found: list[tuple[str, exp.Expr]] = []
    for when in statement.find_all(exp.When):
        then = when.args["then"]
        if isinstance(then, exp.Update):
            found += [(fold(one.this.this) or "", one.expression) for one in then.expressions]
        elif isinstance(then, exp.Insert):
            listed = [fold(column.this) or "" for column in getattr(then.this, "expressions", [])]
            found += zip(listed or names, then.expression.expressions, strict=False)
    return found


def _columns(context: Context, statement: exp.Insert | exp.Update | exp.Merge) -> dict[str, str]:
    """Return the target's columns with what duckdb stores in them."""
    target = target_of(statement)
    if target is None:
        return {}
    stored = context.session.stored(context.name_of(target))
    relation = context.duck.sql(f"SELECT * FROM {stored.sql}")
    return dict(zip(relation.columns, map(str, relation.types), strict=True))


def _worth_checking(columns: dict[str, str]) -> bool:
    return any(kind in _REFUSED for kind in columns.values())


def _types(context: Context, query: exp.Expr) -> list[str]:
    return [str(kind) for kind in context.duck.sql(to_duckdb(context, query)).types]


def _check(targets: Sequence[tuple[str, str]], types: Sequence[str]) -> None:
    for (name, kind), found in zip(targets, types, strict=False):
        if words := _REFUSED.get(kind, {}).get(found):
            raise wrong_type(name, *words)
