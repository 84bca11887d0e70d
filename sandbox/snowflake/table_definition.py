"""CREATE TABLE as duckdb's SQL plus the facts duckdb would lose.

Keys are kept as facts only: Snowflake does not enforce them either.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import missing, unsupported
from sandbox.snowflake.facts import Column, ColumnFacts, TableFacts, read_columns, read_table
from sandbox.snowflake.names import TableName, fold, quote
from sandbox.snowflake.parse import target_of, written_name
from sandbox.snowflake.translate import to_duckdb

_Type = exp.DataType.Type
_STORED = {
    **dict.fromkeys((_Type.BIGINT, _Type.INT, _Type.SMALLINT, _Type.TINYINT), "DECIMAL(38,0)"),
    **dict.fromkeys(
        (_Type.VARCHAR, _Type.TEXT, _Type.CHAR, _Type.NCHAR, _Type.NVARCHAR), "VARCHAR"
    ),
    **dict.fromkeys((_Type.FLOAT, _Type.DOUBLE), "DOUBLE"),
    **dict.fromkeys((_Type.BINARY, _Type.VARBINARY), "BLOB"),
    **dict.fromkeys((_Type.TIMESTAMP, _Type.TIMESTAMPNTZ, _Type.DATETIME), "TIMESTAMP"),
    **dict.fromkeys((_Type.TIMESTAMPTZ, _Type.TIMESTAMPLTZ), "TIMESTAMP WITH TIME ZONE"),
    **dict.fromkeys((_Type.VARIANT, _Type.OBJECT, _Type.ARRAY), "JSON"),
    _Type.BOOLEAN: "BOOLEAN",
    _Type.DATE: "DATE",
    _Type.TIME: "TIME",
}
_DECLARED = {
    _Type.TIMESTAMPLTZ: "TIMESTAMP_LTZ",
    _Type.OBJECT: "OBJECT",
    _Type.ARRAY: "ARRAY",
}
# Properties that change nothing a client could see here.
_WITHOUT_EFFECT = {"DATA_RETENTION_TIME_IN_DAYS", "MAX_DATA_EXTENSION_TIME_IN_DAYS"}


@dataclass
class Definition:
    """A table to be made: its name, where duckdb keeps it, how, and what else is known of it."""

    name: TableName
    stored: TableName
    sql: list[str] = field(default_factory=list)
    facts: TableFacts = field(default_factory=TableFacts)
    columns: dict[str, ColumnFacts] = field(default_factory=dict)


def define(context: Context, statement: exp.Create) -> Definition:
    """Return what a CREATE TABLE makes; raises SqlError for what is not done here."""
    target = target_of(statement)
    if target is None:
        raise unsupported("this form of CREATE TABLE")
    properties = _Properties(statement)
    name = context.name_of(target)
    stored = TableName("temp", "main", name.table) if properties.temporary else name
    definition = Definition(name, stored)
    create = _head(statement, stored, temporary=properties.temporary)
    source = statement.args.get("clone")
    if like := properties.like or (source.this if source else None):
        _copy_columns(context, definition, like, create, rows=bool(source))
    elif statement.expression is not None:
        _from_query(context, definition, statement, create)
    else:
        _from_columns(context, definition, statement, create)
    definition.facts = TableFacts(**{**vars(definition.facts), "comment": properties.comment})
    return definition


def stored_type(declared: exp.DataType) -> str:
    """Return duckdb's type for a declared one; raises SqlError for none."""
    if declared.this == _Type.DECIMAL:
        digits = [parameter.name for parameter in declared.expressions]
        precision, scale = [*digits, "38", "0"][:2] if len(digits) != 1 else (digits[0], "0")
        return f"DECIMAL({precision},{scale})"
    if declared.this not in _STORED:
        raise unsupported(f"column type {declared.sql(dialect='snowflake')}")
    return _STORED[declared.this]


def column_facts(column: exp.ColumnDef) -> ColumnFacts:
    """Return what a column's declaration says beyond its stored type."""
    declared = column.args["kind"]
    length = next((parameter.name for parameter in declared.expressions), None)
    sized = _STORED.get(declared.this) in {"VARCHAR", "BLOB"}
    comments = [kind.this.name for kind in _kinds(column) if _is(kind, "CommentColumn")]
    return ColumnFacts(
        type=_DECLARED.get(declared.this),
        length=int(length) if sized and length else None,
        comment=comments[0] if comments else None,
    )


def column_sql(context: Context, column: exp.ColumnDef) -> str:
    """Return a column's name, type and default; raises SqlError for what is not done here."""
    kind = column.args.get("kind")
    if not isinstance(kind, exp.DataType):
        raise unsupported("a column without a type")
    sql = f"{quote(fold(column.this) or '')} {stored_type(kind)}"
    for constraint in _kinds(column):
        if isinstance(constraint, exp.DefaultColumnConstraint):
            sql += f" DEFAULT {_expression(context, constraint.this)}"
        elif not isinstance(constraint, _ACCEPTED):
            raise unsupported(constraint.sql(dialect="snowflake"))
    return sql


def not_null(column: exp.ColumnDef) -> bool:
    """Tell whether a column is declared NOT NULL."""
    return any(
        isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null")
        for kind in _kinds(column)
    )


_ACCEPTED = (
    exp.CommentColumnConstraint,
    exp.NotNullColumnConstraint,
    exp.PrimaryKeyColumnConstraint,
    exp.Reference,
    exp.UniqueColumnConstraint,
)


class _Properties:
    def __init__(self, statement: exp.Create) -> None:
        self.temporary = False
        self.comment: str | None = None
        self.like: exp.Table | None = None
        found = statement.args.get("properties")
        for one in found.expressions if found else []:
            self._take(one)

    def _take(self, one: exp.Expr) -> None:
        if isinstance(one, exp.TemporaryProperty | exp.VolatileProperty):
            self.temporary = True
        elif isinstance(one, exp.SchemaCommentProperty):
            self.comment = one.this.name
        elif isinstance(one, exp.LikeProperty):
            self.like = one.this
        elif isinstance(one, exp.TransientProperty | exp.ClusterProperty | exp.Cluster):
            return
        elif not (isinstance(one, exp.Property) and one.name.upper() in _WITHOUT_EFFECT):
            raise unsupported(f"CREATE TABLE ... {one.sql(dialect='snowflake')}")


def _head(statement: exp.Create, stored: TableName, *, temporary: bool) -> str:
    replace = "OR REPLACE " if statement.args.get("replace") else ""
    if temporary:
        return f"CREATE {replace}TEMP TABLE {quote(stored.table)}"
    return f"CREATE {replace}TABLE {stored.sql}"


def _from_columns(
    context: Context, definition: Definition, statement: exp.Create, create: str
) -> None:
    columns = [one for one in statement.this.expressions if isinstance(one, exp.ColumnDef)]
    rest = [one for one in statement.this.expressions if not isinstance(one, exp.ColumnDef)]
    key = _primary_key(columns, rest)
    parts = []
    for column in columns:
        name = fold(column.this) or ""
        # Part of a primary key means NOT NULL, and that Snowflake does enforce.
        required = " NOT NULL" if not_null(column) or name in key.primary_key else ""
        parts.append(column_sql(context, column) + required)
        definition.columns[name] = column_facts(column)
    definition.facts = key
    definition.sql.append(f"{create} ({', '.join(parts)})")


def _primary_key(columns: list[exp.ColumnDef], rest: list[exp.Expr]) -> TableFacts:
    named = [
        fold(column.this) or ""
        for column in columns
        if any(_is(kind, "PrimaryKeyColumn") for kind in _kinds(column))
    ]
    constraint_name = None
    for one in rest:
        inner = one.expressions[0] if isinstance(one, exp.Constraint) else one
        if isinstance(inner, exp.PrimaryKey):
            named = [fold(column) or "" for column in inner.expressions]
            constraint_name = fold(one.this) if isinstance(one, exp.Constraint) else None
        elif not isinstance(inner, exp.ForeignKey | exp.UniqueColumnConstraint):
            raise unsupported(one.sql(dialect="snowflake"))
    return TableFacts(primary_key=tuple(named), primary_key_name=constraint_name)


def _copy_columns(
    context: Context, definition: Definition, source: exp.Table, create: str, *, rows: bool
) -> None:
    stored = context.session.stored(context.name_of(source))
    facts, columns = read_table(context.duck, stored), read_columns(context.duck, stored)
    if facts is None:
        raise missing("Object", written_name(source))
    parts = ", ".join(_again(column) for column in columns)
    definition.sql.append(f"{create} ({parts})")
    if rows:
        definition.sql.append(f"INSERT INTO {definition.stored.sql} SELECT * FROM {stored.sql}")
    definition.columns = {column.name: column.facts for column in columns}
    definition.facts = TableFacts(
        primary_key=facts.primary_key, primary_key_name=facts.primary_key_name
    )


def _again(column: Column) -> str:
    default = f" DEFAULT {column.default}" if column.default else ""
    required = "" if column.nullable else " NOT NULL"
    return f"{quote(column.name)} {column.type}{default}{required}"


def _from_query(
    context: Context, definition: Definition, statement: exp.Create, create: str
) -> None:
    sql = to_duckdb(context, statement.expression.copy())
    relation = context.duck.sql(sql)
    listed = statement.this.expressions if isinstance(statement.this, exp.Schema) else []
    names = [fold(one.this if isinstance(one, exp.ColumnDef) else one) for one in listed]
    found = list(zip(relation.columns, map(str, relation.types), strict=True))
    if names and len(names) != len(found):
        raise unsupported("a column list of another length than the query's")
    parts = []
    for position, (_, kind) in enumerate(found):
        wanted = listed[position] if listed else None
        target = names[position] if names else relation.columns[position]
        value = f"_{position}"
        if isinstance(wanted, exp.ColumnDef):
            value = f"CAST({value} AS {stored_type(wanted.args['kind'])})"
            definition.columns[str(target)] = column_facts(wanted)
        else:
            value = _storable(value, kind)
        parts.append(f"{value} AS {quote(str(target))}")
    renamed = ", ".join(f"_{position}" for position in range(len(found)))
    definition.sql.append(f"{create} AS SELECT {', '.join(parts)} FROM ({sql}) AS _q({renamed})")


def _storable(value: str, kind: str) -> str:
    if kind.endswith("INT") or kind == "INTEGER":
        return f"CAST({value} AS DECIMAL(38,0))"
    if kind.endswith("[]") or kind.startswith(("STRUCT(", "MAP(")):
        return f"to_json({value})"
    return f"CAST({value} AS VARCHAR)" if kind == '"NULL"' else value


def _expression(context: Context, value: exp.Expr) -> str:
    return to_duckdb(context, exp.select(value.copy())).removeprefix("SELECT ")


def _kinds(column: exp.ColumnDef) -> Iterator[exp.Expr]:
    for constraint in column.args.get("constraints") or []:
        yield (
            constraint.args["kind"] if isinstance(constraint, exp.ColumnConstraint) else constraint
        )


def _is(kind: exp.Expr, name: str) -> bool:
    return type(kind).__name__ == f"{name}Constraint"
