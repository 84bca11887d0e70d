"""Reading a Postgres table in chunks: one session keeps a snapshot, any number of them read in it.

A chunk is ranges of pages (ctid), which every version of Postgres finds without an index or an
order, from 14 on without reading the pages outside. A row keeps its page until it is written
again, so what a chunk holds does not depend on when it is read, only on the snapshot.
"""

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import psycopg
import pyarrow as pa
from psycopg import errors as pg
from psycopg import sql as pgsql
from psycopg.pq import TransactionStatus

from connectors.abilities import BY_TRANSACTION, Bounds, Extract, Increment, ReadPlan
from connectors.base import GRACE_S, Connector
from connectors.errors import ConnectionLost, ObjectNotFound, QueryTimeout, SnapshotGone
from connectors.postgres import appended, catalog, cursor, wire
from connectors.postgres.chunks import Leaf, chunked, steps
from connectors.postgres.copy import CopyExecution
from connectors.quarantine import Quarantine
from connectors.types import Watermark

XID_HALF = 2**31
"""Transaction ids are compared modulo 2^32: past half of that, old and new look alike."""
RANGES_SINCE = 140_000
"""Postgres 14 reads a range of ctids without reading the pages outside of it."""
NOT_THERE = (pg.UndefinedTable, pg.InvalidSchemaName, pg.SyntaxError)
"""What the server says to the name of a table that does not exist; an empty name is none."""
NOT_TO_BE_JOINED = (
    *(pg.InvalidParameterValue, pg.UndefinedObject, pg.ObjectNotInPrerequisiteState),
    *(pg.LockNotAvailable, pg.UndefinedTable, pg.InvalidSchemaName),
)
"""What the server says where a snapshot has ended, or its table is about to be changed."""
STAY = "SELECT set_config('idle_in_transaction_session_timeout', '0', true)"


class _Table(NamedTuple):
    """A row of LAYOUT."""

    key: str
    identity: str
    oid: int
    has_xmin: bool
    has_free_leaves: bool
    leaves: str
    layout: str
    rows: int | None


class ChunkCopy(CopyExecution):
    """A copy that leaves the transaction, and so the snapshot, to the next one."""

    def close(self) -> None:
        if self._connection.info.transaction_status == TransactionStatus.INTRANS:
            self._refuse_cancels()
            self._cursor.close()
        else:
            super().close()


class PostgresExtract(Connector, Extract):
    """The promises are those of ``Extract``."""

    silence_s: ClassVar = 900.0
    """How long a server may work before it has the next rows of a chunk."""
    extraction_s: ClassVar = 7 * 86_400.0
    """How long a chunk may take the server."""
    _connection: psycopg.Connection[Any]
    _snapshot = ""
    _origin = ""

    def plan(
        self,
        schema: str,
        table: str,
        since: Watermark | None,
        chunk_bytes: int,
        increment: Increment = BY_TRANSACTION,
    ) -> ReadPlan:
        with self._in_snapshot():
            self._connection.rollback()
            # Before the snapshot, in a transaction that is over by then.
            known = cursor.bound(self._row) if increment.cursor else None
            self._connection.rollback()
            self._lock(schema, table)
            plan = self._planned(schema, table, since, chunk_bytes, increment)
            if known is not None:
                plan = cursor.planned(plan, increment, known, self._row)
        return self._once(plan) if increment.once and not plan.note else plan

    def covers(self, since: Watermark) -> bool:
        with self._in_snapshot():
            return since.origin == self._origin and self._age(since) is not None

    def read(
        self,
        plan: ReadPlan,
        bounds: Bounds,
        since: Watermark | None,
        run_id: str = "",
        quarantine: Quarantine | None = None,
        *,
        gently: bool = False,
    ) -> Generator[pa.RecordBatch]:
        with self._in_snapshot():
            self._join(plan)
            if gently:
                bounds = [step for part in bounds for step in self._steps(part)]
        for part in bounds:
            with self._in_snapshot():
                query = self._query(plan, part, since)
            yield from self._copied(query, run_id, quarantine)

    def hold(self) -> None:
        with self._heard():
            if not self._sees(self._snapshot):
                raise SnapshotGone()
            self._connection.execute("SELECT")

    def release(self) -> None:
        self._snapshot = ""
        if self._open and not self._connection.closed:
            with self._watched(wire.END_S), self._mapped():
                self._connection.rollback()

    @contextmanager
    def _in_snapshot(self) -> Iterator[None]:
        """A step in the session's transaction, which is ended when the step fails."""
        with self._heard(), self._session():
            try:
                yield
            except BaseException:
                self._snapshot = ""
                if not self._connection.closed:
                    self._connection.rollback()
                raise

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Bound a step of an extraction; ConnectionLost where the server falls silent."""
        try:
            with self._watched(self.silence_s + GRACE_S), self._mapped():
                yield
        except QueryTimeout as exc:
            if not self._given_up:
                # The server itself ended the statement.
                raise
            raise ConnectionLost("The server has said nothing for too long.") from exc

    def _lock(self, schema: str, table: str, how: str = "") -> None:
        """Keep the table as it is. Before the snapshot: a table that is rewritten between the two
        looks empty in it. What cannot be locked (a materialized view) is so by being read."""
        execute = self._connection.execute
        execute(_statement("SET LOCAL statement_timeout = {}", int(self.silence_s * 1000)))
        execute("SAVEPOINT unlocked")
        name = pgsql.Identifier(schema, table)
        try:
            execute(pgsql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE" + how).format(name))
        except pg.WrongObjectType:
            execute("ROLLBACK TO SAVEPOINT unlocked")
        except NOT_THERE as exc:
            raise ObjectNotFound(f"There is no table {schema}.{table}.") from exc
        execute("RELEASE SAVEPOINT unlocked")

    def _once(self, plan: ReadPlan) -> ReadPlan:
        """The plan with what has to be remembered so that no row comes twice."""
        with self._in_snapshot():
            parts = [self._rows(part) for bounds in plan.chunks for part in bounds]
            young_age = self._known_age(plan.watermark)
            since_age = self._known_age(plan.since) if plan.since else None
        seen_before = plan.since.seen if plan.since else ""
        return appended.planned(
            plan, appended.census(self._asked, parts, young_age, since_age, seen_before)
        )

    def _asked(self, query: pgsql.Composed) -> list[tuple[Any, ...]]:
        """Each answer may take as long as the server may be silent."""
        with self._in_snapshot():
            rows: list[tuple[Any, ...]] = self._connection.execute(query).fetchall()
        return rows

    def _planned(
        self,
        schema: str,
        name: str,
        since: Watermark | None,
        chunk_bytes: int,
        increment: Increment,
    ) -> ReadPlan:
        table, now = self._table(schema, name)
        self._origin = now.origin
        fits = since is not None and table.has_xmin and self.covers(since)
        self._snapshot = str(self._row("SELECT pg_export_snapshot()")[0])
        whole: Bounds = [[table.oid, 0, None]]
        return ReadPlan(
            source_schema=schema,
            source_table=name,
            columns=self._columns(schema, name),
            primary_key=tuple(json.loads(table.key)),
            watermark=now,
            since=since if fits else None,
            estimated_rows=None if fits else table.rows,
            layout=table.layout,
            snapshot=self._snapshot,
            whole=whole,
            chunks=tuple(self._chunks(table, chunk_bytes)) if table.has_free_leaves else (whole,),
            note="" if table.has_xmin or increment == BY_TRANSACTION else appended.NO_IDS,
        )

    def _table(self, schema: str, name: str) -> tuple[_Table, Watermark]:
        """The table as it is now, which is as the snapshot has it: it is locked."""
        wire.begin(self._connection, self.silence_s, wire.application_name(self.context.tags()))
        self._connection.execute(STAY)
        row = self._connection.execute(catalog.LAYOUT, [schema, name]).fetchone()
        if row is None:
            raise ObjectNotFound(f"There is no table {schema}.{name}.")
        table = _Table(*row)
        snapshot, cluster, *_ = self._row(catalog.SNAPSHOT, [None])
        return table, Watermark(str(snapshot), f"{cluster}/{table.identity}")

    def _chunks(self, table: _Table, chunk_bytes: int) -> Iterator[Bounds]:
        ranges = self._connection.info.server_version >= RANGES_SINCE
        leaves = [
            Leaf(oid, pages, size, ranges and is_heap)
            for oid, pages, size, is_heap in json.loads(table.leaves)
        ]
        return chunked(leaves, chunk_bytes)

    def _steps(self, part: list[int | None]) -> Bounds:
        """What is read between two pauses. However little is fetched of one statement's rows, a
        server goes on with it until megabytes wait in its socket."""
        found = self._connection.execute(catalog.PAGES, [part[0]]).fetchone()
        if found is None or self._connection.info.server_version < RANGES_SINCE:
            return [part]
        return steps(part, found[0])

    def _columns(self, schema: str, table: str) -> pa.Schema:
        query = pgsql.SQL("SELECT * FROM {}").format(pgsql.Identifier(schema, table))
        copy = self._copy(query.as_string(self._connection))
        copy.start()
        copy.close()
        return copy.schema

    def _join(self, plan: ReadPlan) -> None:
        """See what the plan's session sees, which lasts until ``release`` or an error."""
        if self._sees(plan.snapshot):
            return
        self._connection.rollback()
        try:
            self._connection.execute(_statement("SET TRANSACTION SNAPSHOT {}", plan.snapshot))
            # Whoever waits for the table to be free waits for the snapshot's end, and so would we.
            self._lock(plan.source_schema, plan.source_table, " NOWAIT")
        except (*NOT_TO_BE_JOINED, ObjectNotFound) as exc:
            raise SnapshotGone() from exc
        table, now = self._table(plan.source_schema, plan.source_table)
        if (now.origin, table.layout) != (plan.watermark.origin, plan.layout):
            raise SnapshotGone()
        self._snapshot, self._origin = plan.snapshot, now.origin

    def _sees(self, snapshot: str) -> bool:
        held = self._connection.info.transaction_status == TransactionStatus.INTRANS
        return held and snapshot != "" and snapshot == self._snapshot

    def _query(self, plan: ReadPlan, part: list[int | None], since: Watermark | None) -> str:
        names = pgsql.SQL(", ").join(map(pgsql.Identifier, plan.columns.names))
        conditions = []
        # The age of a row grows with every transaction, so each session counts its own.
        if plan.cursor and since is not None:
            column = plan.columns.field(plan.cursor)
            conditions.append(cursor.written_since(column, since.cursor))
        elif since is not None:
            conditions.append(appended.written_since(self._known_age(since), since.seen))
        if plan.holds_back:
            mark = plan.watermark
            conditions.append(appended.settled(self._known_age(mark), mark.seen))
        query = pgsql.SQL("SELECT {} FROM {}").format(names, self._rows(part, *conditions))
        return query.as_string(self._connection)

    def _rows(self, part: list[int | None], *conditions: pgsql.Composable) -> pgsql.Composable:
        """The table with a WHERE of these conditions, or of none.

        By oid, since names may change hands between two plans; under the lock they cannot.
        """
        oid, first, end = part
        found = [pgsql.SQL("true"), *conditions]
        if first:
            found.append(_statement("ctid >= {}::tid", f"({first},0)"))
        if end is not None:
            found.append(_statement("ctid < {}::tid", f"({end},0)"))
        (name,) = self._row("SELECT %s::oid::regclass::text", [oid])
        return pgsql.SQL(" WHERE ").join([pgsql.SQL(name), pgsql.SQL(" AND ").join(found)])

    def _known_age(self, since: Watermark) -> int:
        """Of a watermark that the plan covers."""
        if (age := self._age(since)) is None:
            raise SnapshotGone()
        return age

    def _age(self, since: Watermark) -> int | None:
        """The greatest age of a row that was perhaps not to be seen yet in that snapshot.

        A row was readable under the old snapshot only if its xmin is older than that
        snapshot's xmin: everything younger is read again, in flight then or not. ``None`` when
        it would not be safe: transaction ids have gone half round since, or the server has been
        put back to a time before.
        """
        _, _, age, distance = self._row(catalog.SNAPSHOT, [since.snapshot])
        safe = 0 <= int(distance) < XID_HALF and age >= 0
        return int(age) if safe else None

    def _copy(self, query: str, quarantine: Quarantine | None = None) -> ChunkCopy:
        name = wire.application_name(self.context.tags())
        return ChunkCopy(self._connection, query, self.extraction_s, name, quarantine=quarantine)

    def _copied(
        self, query: str, run_id: str, quarantine: Quarantine | None
    ) -> Generator[pa.RecordBatch]:
        copy = self._copy(query, quarantine)
        try:
            with self._cancellable(run_id, copy):
                with self._heard():
                    copy.start()
                batches = copy.pieces()
                while True:
                    with self._heard():
                        batch = next(batches, None)
                    if batch is None:
                        break
                    yield batch
        finally:
            with self._mapped():
                copy.close()

    def _row(self, query: str, params: Sequence[object] = ()) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self._connection.execute(query.encode(), params).fetchone()
        if row is None:
            raise ConnectionLost("The server gave no answer.")
        return row


def _statement(text: str, value: int | str) -> pgsql.Composed:
    """For what takes no parameters."""
    return pgsql.SQL(text).format(pgsql.Literal(value))
