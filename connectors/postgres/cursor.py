"""Reading a Postgres table by a column that says when a row was written.

A row that is not in sight as yet will bear the time at which its transaction began. So the next
reading starts at the earliest beginning of any transaction that was open, all of which have to be
seen, or at the clock before the snapshot. What a client has dated back, or written without the
column, only a sweep finds, which tells rows by their transactions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from psycopg import sql as pgsql

from connectors.abilities import Increment, ReadPlan
from connectors.errors import CursorUnfit

MARGIN_S = 10
"""A transaction's time is taken before others see that it began; a type with fewer digits rounds
it; clocks are put right."""
ZONES = "12 hours"
"""A time without a zone is that of its writer's zone, of which the last is so far behind UTC."""

_TEXT = "to_char(({}) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
_EARLIEST = f"least(statement_timestamp(), min(xact_start)) - interval '{MARGIN_S} s'"

OPEN = f"""
SELECT {_TEXT.format("statement_timestamp()")}, {_TEXT.format(_EARLIEST)},
       pg_is_in_recovery(), pg_has_role('pg_read_all_stats', 'USAGE'),
       coalesce(bool_or(state = 'disabled'), false)
FROM pg_stat_activity
WHERE pid <> pg_backend_pid()
  AND backend_type IS DISTINCT FROM 'autovacuum worker'
  AND (datid IS NULL OR datid = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
"""The clock, as it was before anything else was looked at; the earliest beginning of a transaction
in this database, or the clock, less the margin; and whether that can be trusted. A vacuum, which
may take hours, writes no row."""
PREPARED = "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())"
"""To be asked after OPEN: what was prepared meanwhile was open then."""
INDEXED = """
SELECT EXISTS (
    SELECT FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am am ON am.oid = c.relam AND am.amname IN ('btree', 'brin')
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = %s AND a.attname = %s AND i.indisvalid AND i.indpred IS NULL)
"""

INSTEAD = "Rows are told by their transactions instead, as in mode xid: "
STANDBY = INSTEAD + "a standby does not show which transactions are open."
HIDDEN = INSTEAD + "this user may not see when those of others began. Grant it pg_read_all_stats."
UNTRACKED = INSTEAD + "a session does not show when its own began (track_activities is off)."
WITHOUT_TIME = INSTEAD + "there are prepared ones, which do not show when they began."
NO_INDEX = INSTEAD + "no index begins with {}. Make one."
NO_BOUND = INSTEAD + "the last run could not tell how far back to read."

Ask = Callable[..., tuple[Any, ...]]
"""Run a query with parameters; its one row."""


@dataclass(frozen=True)
class Bound:
    """Where the next reading starts, as known at ``clock``, both in UTC; or why nobody can tell."""

    clock: str
    text: str
    distrust: str = ""


def bound(ask: Ask) -> Bound:
    """To be called before the snapshot is taken, in a transaction of its own."""
    clock, text, is_standby, sees_all, is_untracked = ask(OPEN)
    (has_prepared,) = ask(PREPARED)
    found = [
        (is_standby, STANDBY),
        (not sees_all, HIDDEN),
        (is_untracked, UNTRACKED),
        (has_prepared, WITHOUT_TIME),
    ]
    return Bound(clock, text, next((why for is_so, why in found if is_so), ""))


def planned(plan: ReadPlan, increment: Increment, known: Bound, ask: Ask) -> ReadPlan:
    """The plan as a reading by the column where that can be, and otherwise as a sweep.

    Raises CursorUnfit where it is no column of a type that tells a time.
    """
    _check(plan, increment.cursor)
    note = plan.note or known.distrust or _unusable(plan, increment.cursor, ask)
    since = plan.since
    swept = replace(
        plan,
        watermark=replace(
            plan.watermark,
            cursor="" if known.distrust else known.text,
            swept_at=known.clock,
        ),
        note=note,
    )
    if note or since is None or _is_due(since.swept_at, increment, known.clock):
        return swept
    mark = replace(swept.watermark, snapshot=since.snapshot, swept_at=since.swept_at)
    return replace(swept, watermark=mark, cursor=increment.cursor, chunks=(plan.whole,))


def written_since(column: pa.Field, since: str) -> pgsql.Composable:
    """The condition of rows whose column says that they were written since."""
    name, at = pgsql.Identifier(column.name), pgsql.Literal(since)
    if pa.types.is_date(column.type):
        text = "{} >= ({}::timestamp - interval {})::date"
    elif column.type.tz is None:
        text = "{} >= {}::timestamp - interval {}"
    else:
        return pgsql.SQL("{} >= {}::timestamptz").format(name, pgsql.Literal(f"{since}+00"))
    return pgsql.SQL(text).format(name, at, pgsql.Literal(ZONES))


def _check(plan: ReadPlan, column: str) -> None:
    if column not in plan.columns.names:
        raise CursorUnfit(fields={"cursor_column": f"The table has no column {column}."})
    kind = plan.columns.field(column).type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise CursorUnfit(fields={"cursor_column": f"{column} does not tell a time."})


def _unusable(plan: ReadPlan, column: str, ask: Ask) -> str:
    """What keeps the column from being read by."""
    ((oid, *_),) = plan.whole
    if not ask(INDEXED, [oid, column])[0]:
        return NO_INDEX.format(column)
    return NO_BOUND if plan.since is not None and not plan.since.cursor else ""


def _is_due(swept_at: str, increment: Increment, clock: str) -> bool:
    passed = datetime.fromisoformat(clock) - datetime.fromisoformat(swept_at)
    return not timedelta(0) <= passed < timedelta(seconds=increment.sweep_after_s)
