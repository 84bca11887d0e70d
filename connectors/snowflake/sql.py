"""The statements that load a manifest into Snowflake: pure functions of names and types."""

import re
from collections.abc import Iterable, Sequence

import pyarrow as pa

from connectors.errors import Unsupported
from connectors.types import LoadTarget, Manifest

MAX_FILES = 1000
"""``FILES = (…)`` of one COPY takes no more. Source: Snowflake documentation, COPY INTO <table>."""

LEDGER = "WAREHOUSE_LOADS"
BARE = re.compile(r"[a-z_][a-z0-9_$]*\Z")
LOCATION = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\Z")
JSON_TYPES = frozenset({"json", "jsonb"})

ALIASES = {"TEXT": "VARCHAR", "REAL": "FLOAT", "DOUBLE": "FLOAT"}
"""Names in INFORMATION_SCHEMA for what a definition calls otherwise."""

TYPES: dict[pa.DataType, str] = {
    pa.bool_(): "BOOLEAN",
    pa.int16(): "NUMBER(38,0)",
    pa.int32(): "NUMBER(38,0)",
    pa.int64(): "NUMBER(38,0)",
    pa.float32(): "FLOAT",
    pa.float64(): "FLOAT",
    pa.string(): "VARCHAR",
    pa.binary(): "BINARY",
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP_NTZ(6)",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP_TZ(6)",
}


def folded(name: str) -> str:
    """A source name as people type it in Snowflake: bare lower-case names become upper case."""
    return name.upper() if BARE.match(name) else name


def quoted(*names: str) -> str:
    """Identifiers joined by dots; the only way a name gets into a statement."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """A string literal; Snowflake reads backslashes in it as escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def column_type(field: pa.Field, *, staged: bool = False) -> str:
    """The Snowflake type of a column; JSON is staged as text and becomes VARIANT in the target."""
    if pa.types.is_decimal(field.type):
        return f"NUMBER({field.type.precision},{field.type.scale})"
    if is_json(field) and not staged:
        return "VARIANT"
    try:
        return TYPES[field.type]
    except KeyError:
        raise Unsupported(f"Column {field.name} of type {field.type} cannot be loaded.") from None


def is_json(field: pa.Field) -> bool:
    """The source column is json or jsonb, carried as text."""
    native = (field.metadata or {}).get(b"native", b"").decode()
    return native in JSON_TYPES


def create_ledger(schema: str) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(schema, LEDGER)} (LOAD_ID VARCHAR NOT NULL, "
        "TARGET VARCHAR NOT NULL, FENCE NUMBER(38,0) NOT NULL, ROWS_LOADED NUMBER(38,0) NOT NULL, "
        "FILES NUMBER(38,0) NOT NULL, LOADED_AT TIMESTAMP_TZ NOT NULL)"
    )


def create_target(target: LoadTarget, manifest: Manifest) -> str:
    key = ", ".join(_keys(manifest))
    columns = _definitions(manifest.schema, staged=False, not_null=manifest.primary_key)
    name = quoted(target.schema, target.table)
    return f"CREATE TABLE IF NOT EXISTS {name} ({columns}, PRIMARY KEY ({key}))"


def existing_columns(target: LoadTarget) -> tuple[str, Sequence[object]]:
    """Name, type, precision and scale of the target's columns, and the parameters."""
    return (
        "SELECT column_name, data_type, numeric_precision, numeric_scale "
        "FROM information_schema.columns WHERE table_schema = ? AND table_name = ?",
        (target.schema, target.table),
    )


def differences(manifest: Manifest, existing: Iterable[Sequence[object]]) -> dict[str, str]:
    """What of the target does not fit the manifest, by column; empty when all of it does."""
    there = {str(name): _shape(*facts) for name, *facts in existing}
    wanted = {folded(f.name): column_type(f) for f in manifest.schema}
    found = dict.fromkeys(wanted.keys() - there.keys(), "The target has no such column.")
    found |= dict.fromkeys(there.keys() - wanted.keys(), "The source has no such column.")
    for name in wanted.keys() & there.keys():
        if there[name] != (kind := _bare(wanted[name])):
            found[name] = f"The target has {there[name]}, the source needs {kind}."
    return found


def create_staging(target: LoadTarget, staging: str, manifest: Manifest) -> str:
    columns = _definitions(manifest.schema, staged=True)
    return f"CREATE OR REPLACE TEMPORARY TABLE {quoted(target.schema, staging)} ({columns})"


def copies(target: LoadTarget, staging: str, manifest: Manifest) -> list[str]:
    """COPY statements that name every file of the manifest once.

    A list and not a prefix: the prefix ``dim_project`` would take ``dim_project_contract`` too.
    """
    if not LOCATION.match(manifest.location):
        raise ValueError(f"not a stage location: {manifest.location!r}")
    names = [file.name for file in manifest.files]
    source = f"@{quoted(target.schema, target.stage)}/{manifest.location}/"
    return [
        f"COPY INTO {quoted(target.schema, staging)} FROM {source} "
        f"FILES = ({', '.join(map(literal, names[start : start + MAX_FILES]))}) "
        "FILE_FORMAT = (TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT"
        for start in range(0, len(names), MAX_FILES)
    ]


def merge(target: LoadTarget, staging: str, manifest: Manifest) -> str:
    """MERGE by primary key; the staging table holds each key once, from one snapshot."""
    names = [quoted(folded(field.name)) for field in manifest.schema]
    keys = _keys(manifest)
    source = ", ".join(_staged_value(field) for field in manifest.schema)
    on = " AND ".join(f"t.{name} = s.{name}" for name in keys)
    # Of a table that is all key, too: a row that is there already has to count as written.
    updated = [name for name in names if name not in keys] or keys
    updates = ", ".join(f"{name} = s.{name}" for name in updated)
    return (
        f"MERGE INTO {quoted(target.schema, target.table)} AS t "
        f"USING (SELECT {source} FROM {quoted(target.schema, staging)}) AS s ON {on} "
        f"WHEN MATCHED THEN UPDATE SET {updates} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) "
        f"VALUES ({', '.join('s.' + name for name in names)})"
    )


def remember(target: LoadTarget, manifest: Manifest) -> tuple[str, Sequence[object]]:
    """The ledger row of a load, and its parameters.

    It inserts nothing when the ledger has this load, or a later one of the same table: the MERGE
    before it holds the table's lock, so whoever was first is seen here.
    """
    name = quoted(target.schema, LEDGER)
    return (
        f"INSERT INTO {name} SELECT ?, ?, ?, ?, ?, CURRENT_TIMESTAMP() WHERE NOT EXISTS "
        f"(SELECT 1 FROM {name} WHERE LOAD_ID = ? OR (TARGET = ? AND FENCE > ?))",
        (
            *(manifest.load_id, target.table, target.fence, manifest.rows, len(manifest.files)),
            *(manifest.load_id, target.table, target.fence),
        ),
    )


def loads_into(target: LoadTarget) -> tuple[str, Sequence[object]]:
    """One row when the ledger has any load into the target, and the parameters."""
    name = quoted(target.schema, LEDGER)
    return f"SELECT 1 FROM {name} WHERE TARGET = ? LIMIT 1", (target.table,)


def known_load(target: LoadTarget, load_id: str) -> tuple[str, Sequence[object]]:
    """One row when the ledger has this load, and the parameters."""
    return f"SELECT 1 FROM {quoted(target.schema, LEDGER)} WHERE LOAD_ID = ?", (load_id,)


def count(schema: str, table: str) -> str:
    return f"SELECT COUNT(*) FROM {quoted(schema, table)}"


def _shape(kind: object, precision: object, scale: object) -> str:
    return f"NUMBER({precision},{scale})" if kind == "NUMBER" else ALIASES.get(str(kind), str(kind))


def _bare(kind: str) -> str:
    """A column's type as the metadata name it: only numbers carry their size there."""
    return kind if kind.startswith("NUMBER") else kind.partition("(")[0]


def _keys(manifest: Manifest) -> list[str]:
    if not manifest.primary_key:
        raise Unsupported("A table without a primary key cannot be merged.")
    return [quoted(folded(name)) for name in manifest.primary_key]


def _definitions(schema: pa.Schema, *, staged: bool, not_null: Iterable[str] = ()) -> str:
    required = set(not_null)
    names = [folded(field.name) for field in schema]
    if len({name.upper() for name in names}) < len(names):
        raise Unsupported("Two columns of the table differ only in case.")
    return ", ".join(
        f"{quoted(name)} {column_type(field, staged=staged)}"
        + (" NOT NULL" if field.name in required else "")
        for name, field in zip(names, schema, strict=True)
    )


def _staged_value(field: pa.Field) -> str:
    name = quoted(folded(field.name))
    return f"PARSE_JSON({name}) AS {name}" if is_json(field) else name
