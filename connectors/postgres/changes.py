"""What has changed in a table since a place in the log: logical replication, read by queries.

A publication tells the server which table, a slot how far back to keep its log. Both belong to
one table of one pipeline and bear one name. Changes are looked at and left where they are until
whoever reads them says that they have arrived, so that nothing is lost when the reader is.
"""

import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
from psycopg import errors as psycopg_errors
from psycopg import sql as pgsql

from connectors.abilities import Changes, ChangeWindow
from connectors.errors import (
    ChangesLost,
    ObjectNotFound,
    ResourceUnusable,
    Unsupported,
    WarehouseBusy,
    WarehouseError,
)
from connectors.postgres import pgoutput, text_rows, wire
from connectors.postgres.fields import Malformed
from connectors.postgres.pgoutput import Begin, Row
from connectors.postgres.window import Key, Window
from connectors.types import Watermark

if TYPE_CHECKING:
    from psycopg import Connection

FETCH_ROWS = 1_000
STATEMENT_S = 60.0
READ_S = 4 * 3600.0
SETTLE_S = 30.0
"""How long the log may take to get to the disk, and a commit in it to be seen in the table."""
POLL_S = 0.05
LOST = "lost"

TABLE = """
SELECT c.oid, c.relkind IN ('r', 'p'), c.relreplident <> 'n', pg_is_in_recovery(),
       current_setting('wal_level'),
       coalesce(bool_or(a.attgenerated <> ''), false),
       json_object_agg(a.attname, format_type(a.atttypid, a.atttypmod))::text,
       coalesce((SELECT json_agg(k.attname ORDER BY part.position)
                 FROM pg_index i
                 CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY
                     AS part(attnum, position)
                 JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = part.attnum
                 WHERE i.indrelid = c.oid AND i.indisprimary
                   AND part.position <= i.indnkeyatts), '[]')::text,
       (SELECT system_identifier FROM pg_control_system()) || '/'
           || (SELECT timeline_id FROM pg_control_checkpoint()) || '/' || c.oid
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = %s AND c.relname = %s
GROUP BY c.oid
"""
SLOT = """
SELECT wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint,
       confirmed_flush_lsn::text
FROM pg_replication_slots WHERE slot_name = %s AND database = current_database()
"""
PUBLISHED = """
SELECT EXISTS (SELECT FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
               WHERE p.pubname = %s AND r.prrelid = %s)
"""
PEEK = """
SELECT data FROM pg_logical_slot_peek_binary_changes(
    %s, %s::pg_lsn, NULL, 'proto_version', '1', 'publication_names', %s)
"""
ON_DISK = "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn"
IN_SIGHT = """
SELECT NOT EXISTS (SELECT FROM pg_locks
                   WHERE locktype = 'transactionid' AND transactionid::text = ANY(%s))
"""
"""A transaction holds a lock on its own number until others see what it has done."""


@dataclass(frozen=True)
class Source:
    """The table whose changes are read, as it is now."""

    oid: int
    name: pgsql.Identifier
    key: tuple[str, ...]
    types: dict[str, str]
    origin: str


class ChangeLog:
    """The changes of one table in one session; ``name`` is the slot's and the publication's."""

    def __init__(
        self, connection: "Connection[Any]", name: str, schema: str, table: str, label: str
    ) -> None:
        self._connection = connection
        self._name = name
        self._place = (schema, table)
        self._label = label

    def follow(self) -> Watermark:
        """Have the server keep what changes from now on; harmless when repeated."""
        source = self._source()
        if not self._is_followed(source):
            self.unfollow()
            with self._transaction("READ WRITE"):
                # In the name of a partitioned table, whichever partition a row is in.
                self._connection.execute(
                    pgsql.SQL(
                        "CREATE PUBLICATION {} FOR TABLE ONLY {}"
                        " WITH (publish_via_partition_root = true)"
                    ).format(pgsql.Identifier(self._name), source.name)
                )
            # Not before: what stands in the log from before a publication cannot be read by it.
            self._make_slot()
        return Watermark(self._kept()[1], source.origin)

    def changes(self, since: Watermark) -> Changes:
        """What was committed after ``since``, up to now."""
        source = self._source()
        self._kept()
        if since.origin != source.origin:
            raise ChangesLost("The table is another one than the one that was read.")
        fields = self._fields(source)
        upto = self._end_of_log()
        found = self._windows(source, fields, since.snapshot, upto)
        return Changes(fields, source.key, Watermark(upto, source.origin), found)

    def arrived(self, upto: Watermark) -> None:
        """Let the server forget what was committed up to there."""
        with self._transaction("READ ONLY"):
            # An older place than the slot's own is an error, and no news.
            self._connection.execute(
                "SELECT pg_replication_slot_advance(slot_name, %s::pg_lsn)"
                " FROM pg_replication_slots"
                " WHERE slot_name = %s AND confirmed_flush_lsn < %s::pg_lsn",
                [upto.snapshot, self._name, upto.snapshot],
            )

    def unfollow(self) -> None:
        """Drop slot and publication; harmless when there are none, or no table any more."""
        with self._transaction("READ WRITE"):
            self._connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                " WHERE slot_name = %s",
                [self._name],
            )
        with self._transaction("READ WRITE"):
            self._connection.execute(
                pgsql.SQL("DROP PUBLICATION IF EXISTS {}").format(pgsql.Identifier(self._name))
            )

    def retained_bytes(self) -> int | None:
        """How much of the log the slot makes the server keep; ``None`` without a slot."""
        slot = self._slot()
        return None if slot is None else slot[1]

    def _source(self) -> Source:
        """Raises ObjectNotFound, and Unsupported for what changes cannot be read of."""
        with self._transaction("READ ONLY"):
            row = self._connection.execute(TABLE, self._place).fetchone()
        if row is None:
            raise ObjectNotFound(f"There is no table {'.'.join(self._place)}.")
        oid, is_table, has_identity, is_standby, level, generated, types, key, origin = row
        found = Source(
            int(oid),
            pgsql.Identifier(*self._place),
            tuple(json.loads(key)),
            json.loads(types),
            str(origin),
        )
        if level != "logical":
            raise ResourceUnusable(
                "The server keeps no log that changes can be read from.",
                hint="Set wal_level = logical on the server and restart it, or use another mode.",
            )
        reasons = {
            "The server is a standby: follow changes on its primary.": is_standby,
            "Only a table has changes that can be followed.": not is_table,
            # A publication of such a table would make the source refuse updates and deletes.
            "The table has no primary key, so its changes cannot be followed.": not found.key,
            "The table's REPLICA IDENTITY is NOTHING, so it tells no updates and deletes.": (
                not has_identity
            ),
            "The log has no generated columns; use another mode for this table.": generated,
        }
        for sentence, applies in reasons.items():
            if applies:
                raise Unsupported(sentence)
        return found

    def _is_followed(self, source: Source) -> bool:
        """The publication is of this very table, and the slot still of use."""
        (published,) = self._row(PUBLISHED, [self._name, source.oid])
        slot = self._slot()
        return bool(published) and slot is not None and slot[0] != LOST

    def _make_slot(self) -> None:
        try:
            with self._transaction("READ ONLY"):
                self._connection.execute(
                    "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [self._name]
                )
        except psycopg_errors.QueryCanceled as exc:
            raise WarehouseBusy(
                "A transaction that has been open for long is in the way of following changes."
            ) from exc
        except psycopg_errors.ConfigurationLimitExceeded as exc:
            raise ResourceUnusable(
                "The server has no replication slot left.",
                hint="Raise max_replication_slots, or drop slots that nobody reads.",
            ) from exc

    def _slot(self) -> tuple[str, int, str] | None:
        with self._transaction("READ ONLY"):
            row = self._connection.execute(SLOT, [self._name]).fetchone()
        return None if row is None else (str(row[0]), int(row[1] or 0), str(row[2]))

    def _kept(self) -> tuple[int, str]:
        """Bytes and place of the slot; raises ChangesLost where it is of no use any more."""
        slot = self._slot()
        if slot is None:
            raise ChangesLost("The server has no slot for this table any more.")
        status, size, place = slot
        if status == LOST:
            raise ChangesLost(
                "The server has thrown away what changed, to save its disk.",
                hint="Raise max_slot_wal_keep_size, or run the pipeline more often.",
            )
        return size, place

    def _end_of_log(self) -> str:
        """The place up to which everybody's commits stand on the server's disk by now."""
        (end,) = self._row("SELECT pg_current_wal_insert_lsn()::text")
        # With synchronous_commit off, what can be seen may not have been written yet.
        self._wait_for(lambda: self._row(ON_DISK, [end]), "The server does not write its log.")
        return str(end)

    def _fields(self, source: Source) -> pa.Schema:
        with self._transaction("READ ONLY"):
            cursor = self._connection.execute(
                pgsql.SQL("SELECT * FROM {} LIMIT 0").format(source.name)
            )
        return text_rows.arrow_schema(cursor.description or ())

    def _windows(
        self, source: Source, fields: pa.Schema, since: str, upto: str
    ) -> Generator[ChangeWindow]:
        with self._transaction("READ ONLY", READ_S):
            cursor = self._connection.cursor("changes")
            cursor.execute(PEEK, [self._name, upto, self._name])
            window = Window(source.key, fields.names)
            try:
                for message in _after(_lsn(since), pgoutput.messages(_fetched(cursor))):
                    if window.is_full:
                        yield self._read(source, window, fields)
                        window = Window(source.key, fields.names)
                    window.add(message)
            except Malformed as exc:
                raise WarehouseError("The server's log is not what was asked for.") from exc
            if window:
                yield self._read(source, window, fields)

    def _read(self, source: Source, window: Window, fields: pa.Schema) -> ChangeWindow:
        """The window as Arrow's; what the log has left out is read from the table."""
        if window.incomplete:
            numbers = [str(number) for number in set(window.incomplete.values())]
            self._wait_for(
                lambda: self._row_here(IN_SIGHT, [numbers]),
                "A transaction that has ended cannot be seen yet.",
            )
            window.complete(self._current(source, list(window.incomplete), fields.names))
        keys = pa.schema([fields.field(name) for name in source.key])
        return ChangeWindow(
            window.is_emptied,
            _batch([row for row in window.rows.values() if row is not None], fields),
            _batch([key for key, row in window.rows.items() if row is None], keys),
        )

    def _wait_for(self, asked: Callable[[], tuple[Any, ...]], sentence: str) -> None:
        """Until the answer is true; raises WarehouseBusy after SETTLE_S."""
        deadline = time.monotonic() + SETTLE_S
        while not asked()[0]:
            if time.monotonic() > deadline:
                raise WarehouseBusy(sentence)
            time.sleep(POLL_S)

    def _current(self, source: Source, keys: Sequence[Key], names: Sequence[str]) -> dict[Key, Row]:
        """Rows of the table by their keys, as text; those that have gone are missing."""
        parts = [pgsql.Identifier(f"k{n}") for n in range(len(source.key))]
        query = pgsql.SQL(
            "SELECT {columns} FROM {table} WHERE ({key}) IN"
            " (SELECT {typed} FROM unnest({given}) AS given({parts}))"
        ).format(
            columns=pgsql.SQL(", ").join(map(pgsql.Identifier, names)),
            table=source.name,
            key=pgsql.SQL(", ").join(map(pgsql.Identifier, source.key)),
            typed=pgsql.SQL(", ").join(
                pgsql.SQL("{}::{}").format(part, pgsql.SQL(source.types[name]))
                for name, part in zip(source.key, parts, strict=True)
            ),
            given=pgsql.SQL(", ").join([pgsql.SQL("%s::text[]")] * len(parts)),
            parts=pgsql.SQL(", ").join(parts),
        )
        cursor = self._connection.cursor()
        cursor.execute(query, [list(values) for values in zip(*keys, strict=True)])
        rows = _texts(cursor)
        places = [names.index(name) for name in source.key]
        return {pgoutput.key_of(row, places): row for row in rows}

    @contextmanager
    def _transaction(self, access: str, timeout_s: float = STATEMENT_S) -> Iterator[None]:
        """Each statement of it sees what has been committed by then."""
        with self._connection.transaction():
            self._connection.execute(f"SET TRANSACTION ISOLATION LEVEL READ COMMITTED, {access}")
            wire.begin(self._connection, timeout_s, self._label)
            yield

    def _row(self, query: str, values: Sequence[Any] | None = None) -> tuple[Any, ...]:
        with self._transaction("READ ONLY"):
            return self._row_here(query, values)

    def _row_here(self, query: str, values: Sequence[Any] | None = None) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        return row or (None,)


def _after(since: int, messages: Iterable[pgoutput.Message]) -> Iterator[pgoutput.Message]:
    """Those of transactions whose commit stands behind that place in the log."""
    wanted = False
    for message in messages:
        if isinstance(message, Begin):
            # A place is where the next record begins, which may be the commit itself.
            wanted = message.lsn >= since
        if wanted:
            yield message


def _lsn(text: str) -> int:
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _fetched(cursor: "psycopg.ServerCursor[Any]") -> Iterator[bytes]:
    while rows := cursor.fetchmany(FETCH_ROWS):
        for (message,) in rows:
            yield message


def _texts(cursor: "psycopg.Cursor[Any]") -> list[Row]:
    """The rows of a result just as the server writes them."""
    result = cursor.pgresult
    if result is None:
        return []
    texts = [
        [result.get_value(row, column) for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]
    return [tuple(None if text is None else text.decode() for text in row) for row in texts]


def _batch(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [
        text_rows.array_of_text(values, field)
        for values, field in zip(columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
