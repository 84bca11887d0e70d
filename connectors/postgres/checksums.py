"""Checksums of a Postgres table's rows, computed by the server in a plan's snapshot."""

import sys
from collections.abc import Callable, Generator, Mapping, Sequence

import pyarrow as pa
from psycopg import sql as pgsql

from connectors.abilities import Compare, Compared
from connectors.checksums import has_text
from connectors.postgres.extract import PostgresExtract
from connectors.quarantine import Quarantine


class PostgresCompare(PostgresExtract, Compare):
    """The promises are those of ``Compare``. Rows are read chunk by chunk of their plan, so that
    no statement takes long."""

    def digests(self, schema: str, table: str, columns: pa.Schema) -> Mapping[str, bool]:
        return {field.name: has_text(field) for field in columns}

    def checksums(self, rows: Compared) -> Generator[pa.RecordBatch]:
        yield from self._of_chunks(rows, lambda chunk: _checksums(rows, chunk))

    def digested(
        self, rows: Compared, buckets: Sequence[int] | None = None
    ) -> Generator[pa.RecordBatch]:
        yield from self._of_chunks(rows, lambda chunk: _digested(rows, chunk, buckets))

    def _of_chunks(
        self, rows: Compared, query_of: Callable[[str], str]
    ) -> Generator[pa.RecordBatch]:
        if (plan := rows.plan) is None:
            raise ValueError("a source is compared in the snapshot of a plan")
        for part in (part for bounds in plan.chunks for part in bounds):
            with self._in_snapshot():
                self._join(plan)
                query = query_of(self._query(plan, part, None))
            # A value that cannot be carried is NULL here, as it is in the target.
            yield from self._copied(query, "", Quarantine((), sys.maxsize))


def _checksums(rows: Compared, chunk: str) -> str:
    return (
        "SELECT bucket, count(*), sum(checksum)::text FROM ("
        f"SELECT {_bucket(rows)} AS bucket, {_checksum(_digests(rows, rows.digested))} AS checksum "
        f"FROM ({chunk}) AS q) AS q GROUP BY bucket"
    )


def _digested(rows: Compared, chunk: str, buckets: Sequence[int] | None) -> str:
    values = ["bucket", "digests", *(f"v{n}" for n in range(len(_plain(rows))))]
    inner = [
        f"{_bucket(rows)} AS bucket",
        f"{_digests(rows, rows.digested)} AS digests",
        *(f"{_name(name)} AS v{n}" for n, name in enumerate(_plain(rows))),
    ]
    query = f"SELECT {', '.join(values)} FROM (SELECT {', '.join(inner)} FROM ({chunk}) AS q) AS q"
    if buckets is None:
        return query
    return f"{query} WHERE bucket IN ({', '.join(map(str, buckets))})"


def _plain(rows: Compared) -> tuple[str, ...]:
    return rows.key + rows.carried


def _bucket(rows: Compared) -> str:
    if not rows.key:
        return "0::bigint"
    return f"pg_catalog.mod({_checksum(_digests(rows, rows.key))}, {rows.buckets}::bigint)"


def _checksum(text: str) -> str:
    return f"('x' || pg_catalog.right(pg_catalog.md5({text}), 15))::bit(60)::bigint"


def _digests(rows: Compared, names: Sequence[str]) -> str:
    """In an array, since a function takes no more than 100 arguments."""
    digests = ["''", *(_digest(rows.columns.field(name)) for name in names)]
    return f"pg_catalog.array_to_string(ARRAY[{', '.join(digests)}]::text[], ',')"


def _digest(field: pa.Field) -> str:
    """A row of a composite type is asked in a way that takes ROW(NULL) for a value, as it is."""
    name = _name(field.name)
    text = f"pg_catalog.convert_to({_text(name, field.type)}, 'UTF8')"
    return f"CASE WHEN {name} IS DISTINCT FROM NULL THEN pg_catalog.md5({text}) ELSE '-' END"


def _text(name: str, kind: pa.DataType) -> str:
    """The server's own text where it has to be agreed on nothing: concat() is the output function.

    What is infinite is in nobody's target, so its text need only be different.
    """
    finite = ""
    if pa.types.is_boolean(kind):
        return f"{name}::boolean::text"
    if pa.types.is_binary(kind):
        return f"pg_catalog.encode({name}, 'hex')"
    if pa.types.is_date(kind):
        finite = f"({name} - DATE '1970-01-01')::text"
    if pa.types.is_timestamp(kind):
        finite = f"(extract(epoch FROM {name}) * 1000000)::bigint::text"
    text = f"pg_catalog.concat({name})"
    return (
        f"CASE WHEN pg_catalog.isfinite({name}) THEN {finite} ELSE {text} END" if finite else text
    )


def _name(name: str) -> str:
    return pgsql.Identifier(name).as_string()
