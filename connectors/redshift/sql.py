"""Names, types, and the statements of a load of Redshift: pure functions.

Sources: Amazon Redshift Database Developer Guide: Names and identifiers (all fold to lower case,
quoted or not), Data types, COPY from columnar data formats (columns by their place, and of the
file's own type), Type VARBYTE, JSON_PARSE, LOCK.
"""

import json
import re
from collections.abc import Iterable, Sequence

import pyarrow as pa

from connectors.abilities import StagedFiles
from connectors.checksums import is_json
from connectors.errors import Unsupported
from connectors.loading import LEDGER, Staging
from connectors.room import Room
from connectors.types import LoadMode, LoadTarget, Manifest

ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=.@/-]+")
ROLES = re.compile(rf"{ROLE.pattern}(,{ROLE.pattern})*")
"""One role, or a chain of them."""
TEXT_BYTES = 65_535
BINARY_BYTES = 1_024_000
"""VARBYTE itself takes 16 MB; but a row of a COPY has 4 MB at most."""
ROOM = Room({pa.string(): TEXT_BYTES, pa.binary(): BINARY_BYTES}, json_bytes=TEXT_BYTES)
"""JSON is staged as text; SUPER has numbers of 38 digits, as NUMBER has them elsewhere."""
MAX_SCALE = 37

TEXT, BINARY, JSON = f"VARCHAR({TEXT_BYTES})", f"VARBYTE({BINARY_BYTES})", "SUPER"
STAGED: dict[pa.DataType, str] = {
    pa.bool_(): "BOOLEAN",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "REAL",
    pa.float64(): "DOUBLE PRECISION",
    pa.string(): TEXT,
    pa.binary(): BINARY,
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP",
    # An instant is read as its time in UTC, without a zone.
    pa.timestamp("us", tz="UTC"): "TIMESTAMP",
}
"""Types of a staging table: COPY takes a Parquet column into its own type only."""
WIDER = {"SMALLINT": "BIGINT", "INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION"}
"""What a target is made with: Redshift cannot enlarge the type of a number later."""


def folded(name: str) -> str:
    """A name as Redshift keeps it, quoted or not."""
    return name.lower()


def quoted(*names: str) -> str:
    """Identifiers joined by dots; the only way a name gets into a statement."""
    return ".".join('"' + folded(name).replace('"', '""') + '"' for name in names)


def staged_type(field: pa.Field) -> str:
    """The type that a Parquet column is copied into; raises Unsupported."""
    if pa.types.is_decimal(field.type) and field.type.scale <= MAX_SCALE:
        return f"DECIMAL({field.type.precision},{field.type.scale})"
    try:
        return STAGED[field.type]
    except KeyError:
        raise Unsupported(f"Column {field.name} of type {field.type} cannot be loaded.") from None


def column_type(field: pa.Field) -> str:
    """The type of a column of the target; raises Unsupported."""
    if is_json(field):
        return JSON
    if pa.types.is_timestamp(field.type) and field.type.tz:
        return "TIMESTAMPTZ"
    staged = staged_type(field)
    return WIDER.get(staged, staged)


def value(field: pa.Field, source: str) -> str:
    """A staged value of ``source`` as the target takes it."""
    name = f"{source}.{quoted(field.name)}"
    if is_json(field):
        return f"JSON_PARSE({name})"
    if pa.types.is_timestamp(field.type) and field.type.tz:
        return f"({name} AT TIME ZONE 'UTC')"
    return name


def create_ledger(schema: str) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(schema, LEDGER)} (load_id VARCHAR(255) NOT NULL, "
        "target VARCHAR(255) NOT NULL, fence BIGINT NOT NULL, rows_loaded BIGINT NOT NULL, "
        "files BIGINT NOT NULL, loaded_at TIMESTAMP NOT NULL)"
    )


def create_target(target: LoadTarget, schema: pa.Schema, primary_key: Sequence[str]) -> str:
    """The target as the rows need it; the key is known to Redshift, but not enforced by it."""
    names = [folded(field.name) for field in schema]
    if len(set(names)) < len(names):
        raise Unsupported("Two columns of the table differ only in case.")
    parts = [
        f"{quoted(field.name)} {column_type(field)}"
        + (" NOT NULL" if field.name in primary_key else "")
        for field in schema
    ]
    if primary_key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quoted, primary_key))})")
    elif target.mode is LoadMode.MERGE:
        raise Unsupported("A table without a primary key cannot be merged.")
    name = quoted(target.schema, target.table)
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(parts)})"


def create_staging(staging: Staging) -> str:
    """A table that is gone with its session, so that a crash leaves nothing behind."""
    columns = ", ".join(f"{quoted(field.name)} {staged_type(field)}" for field in staging.schema)
    return f"CREATE TEMPORARY TABLE {quoted(staging.name)} ({columns})"


def drop(name: str) -> str:
    return f"DROP TABLE IF EXISTS {quoted(name)}"


def copy_list(staging: Staging, location: str, files: StagedFiles) -> bytes:
    """The files of a staging table as COPY … MANIFEST takes them: each of them, and no other."""
    entries = [
        {
            "url": files.url(location, file.name),
            "mandatory": True,
            "meta": {"content_length": file.bytes},
        }
        for file in staging.files
    ]
    return json.dumps({"entries": entries}, indent=1).encode()


def copy(staging: Staging, list_url: str, role: str) -> str:
    """COPY of the files that are listed at a URL. No statement of ours has a key in it."""
    if not ROLES.fullmatch(role):
        raise ValueError(f"not a role: {role!r}")
    if "'" in list_url or "\\" in list_url:
        raise ValueError(f"not a URL of a list: {list_url!r}")
    return (
        f"COPY {quoted(staging.name)} FROM '{list_url}' IAM_ROLE '{role}' "
        "FORMAT AS PARQUET MANIFEST"
    )


def lock_ledger(schema: str) -> str:
    """Loads into a schema commit one after the other, and each sees what those before it did.

    LOCK comes before the transaction's snapshot. The target is not locked by name, which would
    keep readers out of it until the commit.
    """
    return f"LOCK TABLE {quoted(schema, LEDGER)}"


def known_load(target: LoadTarget, load_id: str) -> tuple[str, Sequence[object]]:
    """The number of ledger rows of this load, and the parameters."""
    return f"SELECT COUNT(*) FROM {_ledger(target)} WHERE load_id = %s", (load_id,)


def later_loads(target: LoadTarget) -> tuple[str, Sequence[object]]:
    """The number of loads into the target with a greater fence, and the parameters."""
    sql = f"SELECT COUNT(*) FROM {_ledger(target)} WHERE target = %s AND fence > %s"
    return sql, (folded(target.table), target.fence)


def loads_into(target: LoadTarget) -> tuple[str, Sequence[object]]:
    """The number of loads into the target, and the parameters."""
    return f"SELECT COUNT(*) FROM {_ledger(target)} WHERE target = %s", (folded(target.table),)


def remember(target: LoadTarget, manifest: Manifest) -> tuple[str, Sequence[object]]:
    """The ledger row of a load, and its parameters."""
    return (
        f"INSERT INTO {_ledger(target)} VALUES (%s, %s, %s, %s, %s, GETDATE())",
        (
            *(manifest.load_id, folded(target.table), target.fence, manifest.rows),
            len(manifest.files) + len(manifest.deletes),
        ),
    )


def count(*names: str) -> str:
    return f"SELECT COUNT(*) FROM {quoted(*names)}"


def matching(primary_key: Iterable[pa.Field], target: str, source: str) -> str:
    """The condition that a row of the target and a staged one have the same key."""
    return " AND ".join(
        f"{target}.{quoted(field.name)} = {value(field, source)}" for field in primary_key
    )


def _ledger(target: LoadTarget) -> str:
    # Beside parameters a percent sign is one of theirs.
    return quoted(target.schema, LEDGER).replace("%", "%%")
