"""Names, types, and the statements of a load of BigQuery: pure functions.

Sources: BigQuery documentation: Data types, Column names, Multi-statement transactions, Loading
Parquet data.
"""

import re
from collections.abc import Iterable, Sequence

import pyarrow as pa

from connectors.checksums import is_json
from connectors.errors import Unsupported
from connectors.loading import LEDGER, Staging, own_name
from connectors.room import Room
from connectors.types import LoadMode, LoadTarget, Manifest

MAX_BYTES = 100 * 2**20
"""Of a row, and so of any value in it."""
NUMERIC_BEFORE, NUMERIC_AFTER = 29, 9
"""Digits of a NUMERIC before the point and after it; a BIGNUMERIC has 38 of each."""
COLUMN = re.compile(r"[^!\"$()*,./;?@\[\\\]^`{}~\x00-\x1f]{1,300}")
PLACE = re.compile(r"[\w-]{1,1024}")
SAFE_DIGITS = 16
"""A number of fewer digits is exact in a double, or is a whole number of 64 bits."""

TYPES: dict[pa.DataType, str] = {
    pa.bool_(): "BOOL",
    pa.int16(): "INT64",
    pa.int32(): "INT64",
    pa.int64(): "INT64",
    pa.float32(): "FLOAT64",
    pa.float64(): "FLOAT64",
    pa.string(): "STRING",
    pa.binary(): "BYTES",
    pa.date32(): "DATE",
    pa.timestamp("us"): "DATETIME",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP",
}


def is_whole(sign: str, before: str, fraction: str) -> bool:
    """A number of JSON that is kept as a signed or unsigned one of 64 bits."""
    return not fraction and len(before) <= 20 and -(2**63) <= int(f"{sign}{before or 0}") < 2**64


ROOM = Room(
    {pa.string(): MAX_BYTES, pa.binary(): MAX_BYTES},
    json_bytes=MAX_BYTES,
    suspect_digits=SAFE_DIGITS,
    is_fixed=is_whole,
)


def quoted(*names: str) -> str:
    """A path of dataset and table, or a column; the only way a name gets into a statement."""
    for name in names:
        if not COLUMN.fullmatch(name):
            raise Unsupported(f"BigQuery has no names such as {name!r}.")
    return ".".join(f"`{name}`" for name in names)


def table_name(target: LoadTarget, table: str) -> str:
    """``dataset.table`` as the client takes it."""
    for name in (target.schema, table):
        if not PLACE.fullmatch(name):
            raise Unsupported(f"BigQuery has no dataset or table of the name {name!r}.")
    return f"{target.schema}.{table}"


def column_type(field: pa.Field, *, staged: bool = False) -> str:
    """The type of a column; JSON is staged as text. Raises Unsupported."""
    if pa.types.is_decimal(field.type):
        before, after = field.type.precision - field.type.scale, field.type.scale
        fits = before <= NUMERIC_BEFORE and after <= NUMERIC_AFTER
        return "NUMERIC" if fits else "BIGNUMERIC"
    if is_json(field) and not staged:
        return "JSON"
    try:
        return TYPES[field.type]
    except KeyError:
        raise Unsupported(f"Column {field.name} of type {field.type} cannot be loaded.") from None


def value(field: pa.Field, source: str) -> str:
    """A staged value as the target takes it."""
    name = f"{source}.{quoted(field.name)}"
    return f"PARSE_JSON({name})" if is_json(field) else name


def create_ledger(target: LoadTarget) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(target.schema, LEDGER)} (LOAD_ID STRING NOT NULL, "
        "TARGET STRING NOT NULL, FENCE INT64 NOT NULL, ROWS_LOADED INT64 NOT NULL, "
        "FILES INT64 NOT NULL, LOADED_AT TIMESTAMP NOT NULL)"
    )


def create_target(target: LoadTarget, schema: pa.Schema, primary_key: Sequence[str]) -> str:
    """The target as the rows need it; the key is known to BigQuery, but not enforced by it."""
    if len({field.name.lower() for field in schema}) < len(schema):
        raise Unsupported("Two columns of the table differ only in case.")
    parts = [
        f"{quoted(field.name)} {column_type(field)}"
        + (" NOT NULL" if field.name in primary_key else "")
        for field in schema
    ]
    if primary_key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quoted, primary_key))}) NOT ENFORCED")
    elif target.mode is LoadMode.MERGE:
        raise Unsupported("A table without a primary key cannot be merged.")
    name = quoted(target.schema, target.table)
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(parts)})"


def create_staging(target: LoadTarget, staging: Staging, name: str) -> str:
    """A table that goes by itself within a day, should nobody be left to drop it."""
    columns = ", ".join(f"{quoted(f.name)} {column_type(f, staged=True)}" for f in staging.schema)
    day = "TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)"
    return (
        f"CREATE TABLE {quoted(target.schema, name)} ({columns}) "
        f"OPTIONS (expiration_timestamp = {day})"
    )


def drop(target: LoadTarget, name: str) -> str:
    return f"DROP TABLE IF EXISTS {quoted(target.schema, name)}"


def count(target: LoadTarget, name: str) -> str:
    return f"SELECT COUNT(*) FROM {quoted(target.schema, name)}"


def keys(key: Sequence[str], source: str) -> str:
    """Count the rows of a source and their keys: as many, unless one comes twice."""
    names = ", ".join(map(quoted, key))
    of_keys = f"SELECT COUNT(*) AS n FROM ({source}) AS s GROUP BY {names}"
    return f"SELECT COALESCE(SUM(n), 0), COUNT(*) FROM ({of_keys}) AS k"


def known_load(target: LoadTarget) -> str:
    """One row when the ledger has the load @load_id."""
    return f"SELECT 1 FROM {quoted(target.schema, LEDGER)} WHERE LOAD_ID = @load_id LIMIT 1"


def later_load(target: LoadTarget) -> str:
    """One row when the ledger has a load into @target of a greater fence than @fence."""
    name = quoted(target.schema, LEDGER)
    return f"SELECT 1 FROM {name} WHERE TARGET = @target AND FENCE > @fence LIMIT 1"


def loads_into(target: LoadTarget) -> str:
    """One row when the ledger has any load into @target."""
    return f"SELECT 1 FROM {quoted(target.schema, LEDGER)} WHERE TARGET = @target LIMIT 1"


def transaction(target: LoadTarget, writes: Iterable[str]) -> str:
    """The writes and the ledger row @load_id, or none of them, as one script.

    Transactions that change the same table cannot both commit; rows that are only inserted are no
    change, so the ledger's are, first of all. What another has committed before shows then.
    """
    name = quoted(target.schema, LEDGER)
    later = "LOAD_ID = @load_id OR (TARGET = @target AND FENCE > @fence)"
    seen = f"SELECT COUNT(*) FROM {name} WHERE {later}"
    return ";\n".join([
        "BEGIN TRANSACTION",
        f"UPDATE {name} SET FENCE = FENCE WHERE TARGET = @target",
        f"SELECT IF(({seen}) = 0, 0, ERROR('Another worker has committed this load or a later.'))",
        *writes,
        f"INSERT INTO {name} (LOAD_ID, TARGET, FENCE, ROWS_LOADED, FILES, LOADED_AT) "
        "VALUES (@load_id, @target, @fence, @rows, @files, CURRENT_TIMESTAMP())",
        "COMMIT TRANSACTION",
    ])  # fmt: skip


def source(target: LoadTarget, manifest: Manifest, staged: Sequence[tuple[Staging, str]]) -> str:
    """A query of the rows that count, with the place of the staging table that each is from."""
    place, key = quoted(own_name("place", manifest)), ", ".join(map(quoted, manifest.primary_key))
    parts = " UNION ALL ".join(
        _placed(target, manifest, part, name, place) for part, name in staged
    )
    if len(staged) == 1:
        return parts
    return (
        f"SELECT * FROM ({parts}) AS p WHERE TRUE "
        f"QUALIFY RANK() OVER (PARTITION BY {key} ORDER BY {place} DESC) = 1"
    )


def writes(
    target: LoadTarget,
    manifest: Manifest,
    columns: Sequence[pa.Field],
    staged: Sequence[tuple[Staging, str]],
) -> list[str]:
    """The statements that bring staged rows into the target."""
    into, place = quoted(target.schema, target.table), quoted(own_name("place", manifest))
    deletes = [part.place for part, _ in staged if part.deletes]
    names = ", ".join(quoted(field.name) for field in columns)
    values = ", ".join(value(field, "s") for field in columns)
    rows = source(target, manifest, staged)
    gone = f"s.{place} IN ({', '.join(map(str, deletes))})"
    kept = f" WHERE NOT {gone}" if deletes else ""
    insert = f"INSERT INTO {into} ({names}) SELECT {values} FROM ({rows}) AS s{kept}"
    if target.mode is LoadMode.APPEND:
        return [insert]
    if target.mode is LoadMode.SWAP:
        return [f"DELETE FROM {into} WHERE TRUE", insert]
    key = [manifest.schema.field(name) for name in manifest.primary_key]
    on = " AND ".join(f"t.{quoted(f.name)} = {value(f, 's')}" for f in key)
    updated = [field for field in columns if field not in key] or key
    changes = ", ".join(f"{quoted(field.name)} = {value(field, 's')}" for field in updated)
    return [
        f"MERGE INTO {into} AS t USING ({rows}) AS s ON {on} "
        + (f"WHEN MATCHED AND {gone} THEN DELETE " if deletes else "")
        + f"WHEN MATCHED THEN UPDATE SET {changes} "
        + f"WHEN NOT MATCHED{f' AND NOT {gone}' if deletes else ''} "
        f"THEN INSERT ({names}) VALUES ({values})"
    ]


def _placed(target: LoadTarget, manifest: Manifest, staging: Staging, name: str, place: str) -> str:
    there = set(staging.schema.names)
    columns = ", ".join(
        quoted(field.name)
        if field.name in there
        else f"CAST(NULL AS {column_type(field, staged=True)}) AS {quoted(field.name)}"
        for field in manifest.schema
    )
    return f"SELECT {columns}, {staging.place} AS {place} FROM {quoted(target.schema, name)}"
