"""Statements that have checksums of rows computed by Snowflake: pure functions.

Source: Snowflake documentation, MD5_NUMBER_LOWER64 (the lower half of a big-endian number of 128
bits, unsigned), HEX_ENCODE, DATE_PART, TO_VARCHAR.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from connectors.abilities import Compared
from connectors.checksums import has_text
from connectors.drift import Kind
from connectors.snowflake.columns import Existing, differences
from connectors.snowflake.sql import folded, quoted

CHECKSUM_BITS = 60


def digestible(columns: pa.Schema, there: dict[str, Existing]) -> Mapping[str, bool]:
    """The columns that are there, and whether their type is the source's and has an exact text."""
    found = differences(columns, (), there, ())
    other = {one.column for one in found if one.kind in (Kind.RETYPED, Kind.NARROWED, Kind.WIDENED)}
    return {
        field.name: has_text(field) and folded(field.name) not in other
        for field in columns
        if folded(field.name) in there
    }


def checksums(rows: Compared) -> str:
    """Bucket, count and sum of checksums."""
    return (
        f"SELECT {_bucket(rows)} AS BUCKET, COUNT(*) AS ROWS_IN_IT, "
        f"TO_VARCHAR(SUM({_checksum(_digests(rows, rows.digested))})) AS CHECKSUMS "
        f"FROM {quoted(rows.schema, rows.table)} GROUP BY 1"
    )


def digested(rows: Compared, buckets: Sequence[int] | None) -> str:
    """Bucket, digests, then the values of the key and of what is carried."""
    values = [quoted(folded(name)) for name in rows.key + rows.carried]
    inner = [
        f"{_bucket(rows)} AS BUCKET",
        f"{_digests(rows, rows.digested)} AS DIGESTS",
        *(f"{value} AS V{n}" for n, value in enumerate(values)),
    ]
    query = f"SELECT {', '.join(inner)} FROM {quoted(rows.schema, rows.table)}"
    if buckets is None:
        return query
    return f"SELECT * FROM ({query}) AS Q WHERE BUCKET IN ({', '.join(map(str, buckets))})"


def _bucket(rows: Compared) -> str:
    return f"MOD({_checksum(_digests(rows, rows.key))}, {rows.buckets})" if rows.key else "0"


def _checksum(text: str) -> str:
    return f"MOD(MD5_NUMBER_LOWER64({text}), {2**CHECKSUM_BITS})"


def _digests(rows: Compared, names: Sequence[str]) -> str:
    digests = ["''", *(_digest(rows.columns.field(name)) for name in names)]
    return f"CONCAT_WS(',', {', '.join(digests)})"


def _digest(field: pa.Field) -> str:
    return f"COALESCE(MD5({_text(quoted(folded(field.name)), field.type)}), '-')"


def _text(name: str, kind: pa.DataType) -> str:
    if pa.types.is_string(kind):
        return name
    if pa.types.is_binary(kind):
        return f"HEX_ENCODE({name}, 0)"
    if pa.types.is_date(kind):
        return f"TO_VARCHAR(DATEDIFF(day, '1970-01-01'::DATE, {name}))"
    if pa.types.is_timestamp(kind):
        return f"TO_VARCHAR(DATE_PART(EPOCH_MICROSECOND, {name}))"
    return f"TO_VARCHAR({name})"
