"""The table `records` in Postgres."""

from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from sandbox.datavault.proto.datavault_pb2 import SealedRecord
from sandbox.datavault.settings import check_database_url

# A payload is at least a 12-byte nonce and a 16-byte tag.
TABLE = """
create table if not exists records (
    tenant text not null check (tenant <> ''),
    key text not null check (key <> ''),
    payload bytea not null check (octet_length(payload) >= 28),
    metadata jsonb not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant, key)
)
"""
# Nonces are random, so an equal payload is the same message delivered again: nothing to change.
UPSERT = """
insert into records as stored (tenant, key, payload, metadata)
select tenant, key, payload, metadata::jsonb
from unnest(%b::text[], %b::text[], %b::bytea[], %b::text[]) as u (tenant, key, payload, metadata)
on conflict (tenant, key) do update
set payload = excluded.payload, metadata = excluded.metadata, updated_at = now()
where stored.payload <> excluded.payload
"""
# What Postgres raises for a record that it will never take, however often it is tried: a broken
# constraint, text or JSON that it cannot hold, a key too long for the index, JSON nested too deep.
REFUSALS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)


class Refused(NamedTuple):
    """A record that Postgres will not take, and why."""

    record: SealedRecord
    reason: str


class Store:
    """One connection to Postgres; raises the driver's errors, see `errors.driver_errors`."""

    def __init__(self, database_url: str) -> None:
        url = check_database_url(database_url)
        self._connection = psycopg.connect(url, autocommit=True, connect_timeout=5)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def migrate(self) -> None:
        """Make the table unless it is there; safe to run from several processes at once."""
        with self._connection.transaction():
            # Two CREATE TABLE IF NOT EXISTS at the same moment can fail on the catalog's own keys.
            self._connection.execute(_lock("pg_advisory_xact_lock", "datavault.migrate"))
            self._connection.execute(TABLE)

    def become_writer(self) -> bool:
        """Tell whether this connection is the one that may write; it stays so until it closes.

        The lock lives in the session that writes, so a backend that has lost it cannot commit.
        """
        row = self._connection.execute(_lock("pg_try_advisory_lock", "datavault.writer")).fetchone()
        return bool(row and row[0])

    def write(self, records: Sequence[SealedRecord]) -> list[Refused]:
        """Store `records`, the last of each key winning; return those that Postgres refuses."""
        try:
            self._upsert(records)
        except REFUSALS as error:
            refusal = type(error).__name__
        else:
            return []
        if len(records) == 1:
            return [Refused(records[0], f"Postgres refused the record ({refusal}).")]
        middle = len(records) // 2
        return self.write(records[:middle]) + self.write(records[middle:])

    def _upsert(self, records: Sequence[SealedRecord]) -> None:
        newest = {(record.tenant, record.key): record for record in records}.values()
        columns = (
            [record.tenant for record in newest],
            [record.key for record in newest],
            [record.payload for record in newest],
            [record.metadata for record in newest],
        )
        self._connection.execute(UPSERT, columns)


def _lock(function: str, name: str) -> str:
    return f"select {function}(hashtext('{name}'))"
