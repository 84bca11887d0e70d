"""INSERT, UPDATE, DELETE and MERGE, each answered with the rows it touched."""

from contextlib import closing

from fakesnow import transforms
from sqlglot import exp

from sandbox.snowflake import results
from sandbox.snowflake.assignment import check_insert, check_merge, check_update
from sandbox.snowflake.bindings import Bindings, bind, is_bound_moment, rows_of
from sandbox.snowflake.context import Context
from sandbox.snowflake.names import fold, quote
from sandbox.snowflake.parse import target_of
from sandbox.snowflake.results import Result
from sandbox.snowflake.translate import to_duckdb


def insert(context: Context, statement: exp.Insert) -> Result:
    """Add rows; a bound batch is one statement, and OVERWRITE empties the table first."""
    batch = rows_of(context.job.request.bindings) if context.job.request.bindings else []
    with context.session.atomic():
        if len(batch) > 1:
            inserted = _insert_batch(context, statement, batch)
        else:
            inserted = _insert_one(context, bind(statement, *batch) if batch else statement)
    return results.counts(results.INSERT, {"rows inserted": inserted})


def update(context: Context, statement: exp.Update) -> Result:
    """Change rows."""
    check_update(context, statement)
    changed = _run(context, statement)
    return results.counts(results.UPDATE, {"rows updated": changed, "multi-joined rows updated": 0})


def delete(context: Context, statement: exp.Delete) -> Result:
    """Remove rows."""
    return results.counts(results.DELETE, {"rows deleted": _run(context, statement)})


def merge(context: Context, statement: exp.Merge) -> Result:
    """Insert, update and delete in one go; two source rows for one target row are an error."""
    check_merge(context, statement)
    actions = _actions(statement)
    _unqualify(statement)
    sql = to_duckdb(context, statement)
    reader = context.duck.sql(f"{sql} RETURNING merge_action").to_arrow_reader(results.BATCH_ROWS)
    touched = dict.fromkeys(actions, 0)
    with closing(reader):
        for batch in reader:
            for entry in batch.column(0).value_counts().to_pylist():
                touched[entry["values"]] += entry["counts"]
    words = {"INSERT": "rows inserted", "UPDATE": "rows updated", "DELETE": "rows deleted"}
    counted = {words[action]: touched[action] for action in words if action in actions}
    return results.counts(results.MERGE, counted)


def _insert_batch(context: Context, statement: exp.Insert, batch: list[Bindings]) -> int:
    """Insert each row of a bound batch, as one multi-row VALUES where the text is a plain one."""
    template = statement.expression
    if isinstance(template, exp.Values) and len(template.expressions) == 1:
        rows = [bind(template.expressions[0].copy(), row) for row in batch]
        statement.set("expression", exp.Values(expressions=rows))
        return _insert_one(context, statement)
    return sum(_insert_one(context, bind(statement.copy(), row)) for row in batch)


def _insert_one(context: Context, statement: exp.Expr) -> int:
    inserted = 0
    for step in transforms.insert_overwrite(statement):
        if isinstance(step, exp.Insert):
            check_insert(context, step)
            inserted = _count(context, _of_literals(context, step) or to_duckdb(context, step))
        else:
            _run(context, step)
    return inserted


def _of_literals(context: Context, statement: exp.Insert) -> str | None:
    """Return duckdb's SQL for an INSERT of nothing but literals, which need no translation.

    There may be thousands of them, and fakesnow looks at each some seventy times.
    """
    source, target = statement.expression, target_of(statement)
    if target is None or not isinstance(source, exp.Values) or statement.args.get("with_"):
        return None
    if not all(_is_literal(cell) for row in source.expressions for cell in row.expressions):
        return None
    listed = statement.this.expressions if isinstance(statement.this, exp.Schema) else []
    columns = ", ".join(quote(fold(column) or "") for column in listed)
    rows = ", ".join(row.sql(dialect="duckdb") for row in source.expressions)
    stored = context.session.stored(context.name_of(target))
    return f"INSERT INTO {stored.sql} {f'({columns})' if columns else ''} VALUES {rows}"


def _is_literal(cell: exp.Expr) -> bool:
    if isinstance(cell, exp.Neg):
        return isinstance(cell.this, exp.Literal)
    return isinstance(cell, exp.Literal | exp.Null | exp.Boolean | exp.HexString) or (
        is_bound_moment(cell)
    )


def _run(context: Context, statement: exp.Expr) -> int:
    return _count(context, to_duckdb(context, statement))


def _count(context: Context, sql: str) -> int:
    ((count,),) = context.run(sql)
    return int(count)


def _actions(statement: exp.Merge) -> set[str]:
    return {
        "DELETE" if isinstance(then, exp.Var) else then.key.upper()
        for then in (when.args["then"] for when in statement.find_all(exp.When))
    }


def _unqualify(statement: exp.Merge) -> None:
    """Take the target's name off assigned columns: duckdb does not want it there."""
    target = fold(statement.this.args["alias"].this) if statement.this.args.get("alias") else None
    names = {target, fold(statement.this.this)}
    for when in statement.find_all(exp.When):
        then = when.args["then"]
        assigned = (
            [assignment.this for assignment in then.expressions]
            if isinstance(then, exp.Update)
            else getattr(then.this, "expressions", [])
        )
        for column in assigned:
            if isinstance(column, exp.Column) and fold(column.args.get("table")) in names:
                column.set("table", None)
