"""Names, types, and the statements around a load of Snowflake: pure functions.

How staged rows get into the target is in ``write``, and how its columns change in ``columns``.
"""

import re
from collections.abc import Iterable, Sequence

import pyarrow as pa

from connectors.checksums import is_json
from connectors.errors import Unsupported
from connectors.loading import LEDGER, Staging
from connectors.room import Room
from connectors.types import LoadMode, LoadTarget, Manifest

MAX_FILES = 1000
"""``FILES = (…)`` of one COPY takes no more. Source: Snowflake documentation, COPY INTO <table>."""

BARE = re.compile(r"[a-z_][a-z0-9_$]*\Z")
LOCATION = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\Z")

MAX_BYTES = {pa.string(): 128 * 2**20, pa.binary(): 64 * 2**20}
"""Of one value; without a length a column has 16 and 8 MB. Source: Snowflake documentation,
String & binary data types."""
JSON_BYTES = 64 * 2**20
"""What PARSE_JSON takes. A number with an exponent, or with more digits than NUMBER has, becomes a
double in it; a key may not come twice. Source: Snowflake documentation, PARSE_JSON."""
ROOM = Room(MAX_BYTES, JSON_BYTES)
MAX_SCALE = 37

TYPES: dict[pa.DataType, str] = {
    pa.bool_(): "BOOLEAN",
    pa.int16(): "NUMBER(38,0)",
    pa.int32(): "NUMBER(38,0)",
    pa.int64(): "NUMBER(38,0)",
    pa.float32(): "FLOAT",
    pa.float64(): "FLOAT",
    pa.string(): f"VARCHAR({MAX_BYTES[pa.string()]})",
    pa.binary(): f"BINARY({MAX_BYTES[pa.binary()]})",
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
    if pa.types.is_decimal(field.type) and field.type.scale <= MAX_SCALE:
        return f"NUMBER({field.type.precision},{field.type.scale})"
    if is_json(field) and not staged:
        return "VARIANT"
    try:
        return TYPES[field.type]
    except KeyError:
        raise Unsupported(f"Column {field.name} of type {field.type} cannot be loaded.") from None


def create_ledger(schema: str) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(schema, LEDGER)} (LOAD_ID VARCHAR NOT NULL, "
        "TARGET VARCHAR NOT NULL, FENCE NUMBER(38,0) NOT NULL, ROWS_LOADED NUMBER(38,0) NOT NULL, "
        "FILES NUMBER(38,0) NOT NULL, LOADED_AT TIMESTAMP_TZ NOT NULL)"
    )


def create_target(target: LoadTarget, schema: pa.Schema, primary_key: Sequence[str]) -> str:
    """The target as the rows need it; the key is known to Snowflake, but not enforced by it."""
    parts = [_definitions(schema, staged=False, not_null=primary_key)]
    if primary_key:
        parts.append(f"PRIMARY KEY ({', '.join(keys(primary_key))})")
    elif target.mode is LoadMode.MERGE:
        raise Unsupported("A table without a primary key cannot be merged.")
    name = quoted(target.schema, target.table)
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(parts)})"


def create_staging(target: LoadTarget, staging: Staging) -> str:
    """A table that is gone with its session, so that a crash leaves nothing behind."""
    columns = _definitions(staging.schema, staged=True)
    return f"CREATE OR REPLACE TEMPORARY TABLE {quoted(target.schema, staging.name)} ({columns})"


def drop_staging(target: LoadTarget, staging: Staging) -> str:
    return f"DROP TABLE IF EXISTS {quoted(target.schema, staging.name)}"


def copies(target: LoadTarget, staging: Staging, location: str) -> list[str]:
    """COPY statements that name every file of a staging table once.

    A list and not a prefix: the prefix ``dim_project`` would take ``dim_project_contract`` too.
    The stage knows how the bucket is signed in to; no statement of ours has a key in it.
    """
    if not LOCATION.match(location):
        raise ValueError(f"not a stage location: {location!r}")
    names = [file.name for file in staging.files]
    source = f"@{quoted(target.schema, target.stage)}/{location}/"
    # Stages have defaults of their own, and one that purges would leave nothing for a retry.
    return [
        f"COPY INTO {quoted(target.schema, staging.name)} FROM {source} "
        f"FILES = ({', '.join(map(literal, names[start : start + MAX_FILES]))}) "
        "FILE_FORMAT = (TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT PURGE = FALSE"
        for start in range(0, len(names), MAX_FILES)
    ]


def remember(target: LoadTarget, manifest: Manifest) -> tuple[str, Sequence[object]]:
    """The ledger row of a load, and its parameters.

    It inserts nothing when the ledger has this load, or a later one of the same table: the write
    before it holds the table's lock, so whoever was first is seen here. Nor does it where rows are
    appended, and another load than the one they follow has come last.
    """
    name = quoted(target.schema, LEDGER)
    later = "LOAD_ID = ? OR (TARGET = ? AND FENCE > ?)"
    values: tuple[object, ...] = (target.table, target.fence)
    if target.mode is LoadMode.APPEND and target.follows is not None:
        later += (
            " OR (TARGET = ? AND FENCE > "
            f"(SELECT COALESCE(MAX(FENCE), 0) FROM {name} WHERE LOAD_ID = ?))"
        )
        values += (target.table, target.follows)
    return (
        f"INSERT INTO {name} SELECT ?, ?, ?, ?, ?, CURRENT_TIMESTAMP() WHERE NOT EXISTS "
        f"(SELECT 1 FROM {name} WHERE {later})",
        (
            *(manifest.load_id, target.table, target.fence, manifest.rows),
            len(manifest.files) + len(manifest.deletes),
            *(manifest.load_id, *values),
        ),
    )


def last_load(target: LoadTarget) -> tuple[str, Sequence[object]]:
    """The id of the load into the target that the ledger has last, and the parameters.

    A load of a smaller fence than one before it is refused, so the greatest is the last.
    """
    name = quoted(target.schema, LEDGER)
    return f"SELECT LOAD_ID FROM {name} WHERE TARGET = ? ORDER BY FENCE DESC LIMIT 1", (
        target.table,
    )


def known_load(target: LoadTarget, load_id: str) -> tuple[str, Sequence[object]]:
    """One row when the ledger has this load, and the parameters."""
    return f"SELECT 1 FROM {quoted(target.schema, LEDGER)} WHERE LOAD_ID = ?", (load_id,)


def count(schema: str, table: str) -> str:
    return f"SELECT COUNT(*) FROM {quoted(schema, table)}"


def keys(primary_key: Iterable[str]) -> list[str]:
    """The key's columns, quoted."""
    return [quoted(folded(name)) for name in primary_key]


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
