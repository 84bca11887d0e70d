"""Reading tables of warehouses by queries, for those that do not tell rows by transactions.

One statement reads a table, so its rows are of one moment. What is new is told by a column alone:
the greatest value that a reading has seen is where the next one starts, less an overlap. So a row
is missed that comes to be seen later than OVERLAP after others with a greater value, or that bears
an older one, or none; the sweep, which reads the whole table, finds it. Deleted rows are not seen.
"""

from abc import abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

import pyarrow as pa

from connectors.abilities import BY_TRANSACTION, Bounds, Extract, Increment, ReadPlan
from connectors.base import Connector
from connectors.errors import CursorUnfit, SnapshotGone, Unsupported
from connectors.loading import LOAD_TIMEOUT_S
from connectors.quarantine import Quarantine
from connectors.types import Limits, Table, Watermark

OVERLAP = timedelta(hours=1)
ZONES = timedelta(hours=26)
"""From the zone that is the first to have a day to the one that is the last."""
AHEAD = timedelta(hours=14)
"""How far ahead of UTC a time without a zone may be."""
WHOLE: Bounds = []


class QueryExtract(Connector, Extract):
    """Reads a table by one query, whole or from a bound on.

    The provider says how it quotes names, and what it calls types of times.
    """

    tells_transactions = False
    time_types: ClassVar[Mapping[str, str]]
    """Its types of an ``instant``, of a ``time`` without a zone, and of a ``day``."""

    @abstractmethod
    def _path(self, *names: str) -> str:
        """Identifiers joined by dots, by the provider's one quoter."""

    def plan(
        self,
        schema: str,
        table: str,
        since: Watermark | None,
        chunk_bytes: int,
        increment: Increment = BY_TRANSACTION,
    ) -> ReadPlan:
        """One chunk, of whatever size: two statements would see two moments.

        The bound is read before the rows, so what is written in between comes twice. Raises
        Unsupported for rows that are to come once each. Otherwise as ``Extract``.
        """
        if increment.once:
            raise Unsupported(f"{self.label} does not tell which rows have been read.")
        place = self._path(schema, table)
        with self.query(f"SELECT * FROM {place} WHERE FALSE") as nothing:
            columns = nothing.schema
        listed = self._listed(schema, table)
        mark = Watermark(snapshot=_text(datetime.now(UTC)), origin=f"{self.provider}:{place}")
        whole = ReadPlan(
            source_schema=schema,
            source_table=table,
            columns=columns,
            primary_key=listed.primary_key if listed else (),
            watermark=mark,
            since=None,
            estimated_rows=listed.row_count if listed else None,
            layout="",
            snapshot="",
            whole=WHOLE,
            chunks=(WHOLE,),
        )
        if not increment.cursor:
            return whole
        clock, bound = self._greatest(place, _cursor(columns, increment.cursor))
        return _incremental(whole, since, increment, clock, bound)

    def covers(self, since: Watermark) -> bool:
        return False

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
        names = ", ".join(map(self._path, plan.columns.names))
        sql = f"SELECT {names} FROM {self._path(plan.source_schema, plan.source_table)}"
        if since is not None:
            sql += f" WHERE {self._is_new(plan, since)}"
        with self.query(sql, limits=Limits(LOAD_TIMEOUT_S), run_id=run_id) as result:
            if result.schema.types != plan.columns.types:
                raise SnapshotGone("The table's columns have changed since the run began.")
            for batch in result:
                yield pa.RecordBatch.from_arrays(batch.columns, schema=plan.columns)

    def hold(self) -> None:
        """There is no snapshot that would last."""

    def release(self) -> None:
        """Nor one to be let go."""

    def _listed(self, schema: str, table: str) -> Table | None:
        """What the catalog says of the table."""
        fold = self.capabilities.fold
        found = self.fetch_tables(schema, search=table)
        names = [name for name in (table, fold(table)) if any(one.name == name for one in found)]
        return next((one for one in found if one.name in names[:1]), None)

    def _greatest(self, place: str, column: pa.Field) -> tuple[datetime, datetime | None]:
        """The warehouse's clock, and the column's greatest value that is no later; both in UTC."""
        name = self._path(column.name)
        sql = f"SELECT CURRENT_TIMESTAMP AS clock, MAX({name}) AS bound FROM {place}"
        with self.query(sql) as result:
            row = result.read_all()
        clock, bound = (row.column(position)[0].as_py() for position in (0, 1))
        clock, bound = _moment(clock), None if bound is None else _moment(bound)
        is_instant = pa.types.is_timestamp(column.type) and column.type.tz is not None
        # One row of the far future would have all others be missed.
        latest = clock if is_instant else clock + AHEAD
        return clock, None if bound is None else min(bound, latest)

    def _is_new(self, plan: ReadPlan, since: Watermark) -> str:
        column = _cursor(plan.columns, plan.cursor)
        kind, at = _kind(column.type), _read(since.cursor)
        at -= OVERLAP if kind == "instant" else ZONES
        text = {"instant": f"{_text(at)}+00:00", "time": _text(at), "day": f"{at:%Y-%m-%d}"}[kind]
        return f"{self._path(column.name)} >= CAST('{text}' AS {self.time_types[kind]})"


def _incremental(
    whole: ReadPlan,
    since: Watermark | None,
    increment: Increment,
    clock: datetime,
    bound: datetime | None,
) -> ReadPlan:
    """The plan by the column; the whole one, as a sweep, where that is due or nothing is known."""
    mark = whole.watermark
    last = since if since is not None and since.origin == mark.origin and since.cursor else None
    if bound is not None:
        mark = replace(mark, cursor=_text(bound))
    if last is None or _is_due(last.swept_at, increment, clock):
        return replace(whole, watermark=replace(mark, swept_at=_text(clock)))
    # A bound never goes back: rows may have been deleted.
    mark = replace(mark, cursor=max(mark.cursor, last.cursor), swept_at=last.swept_at)
    cursor = increment.cursor
    return replace(whole, watermark=mark, since=last, cursor=cursor, estimated_rows=None)


def _cursor(columns: pa.Schema, name: str) -> pa.Field:
    if name not in columns.names:
        raise CursorUnfit(fields={"cursor_column": f"The table has no column {name}."})
    column = columns.field(name)
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        raise CursorUnfit(fields={"cursor_column": f"{name} does not tell a time."})
    return column


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_date(kind):
        return "day"
    return "time" if kind.tz is None else "instant"


def _is_due(swept_at: str, increment: Increment, clock: datetime) -> bool:
    passed = clock - _read(swept_at)
    return not timedelta(0) <= passed < timedelta(seconds=increment.sweep_after_s)


def _moment(value: date) -> datetime:
    """In UTC, which a time without a zone is taken for."""
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _read(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _text(moment: datetime) -> str:
    # strftime does not pad the years before 1000.
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")
