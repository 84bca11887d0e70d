"""A Postgres table into which rows are only inserted: each of them read once, without a key.

A snapshot tells the rows of old transactions from those of transactions that were in flight, but
only by and large: a transaction that is younger than the oldest one in flight may have ended or
not, and a part of one (a savepoint) does not stand in the snapshot at all. But the rows of a
transaction, or of a part of one, come into sight together. So the ids of those young ones whose
rows were in sight are remembered, and what is new has another id.

Rows that were counted before and new ones make up the table. If they are more than the table has,
some were updated or deleted since, or a frozen row bears, four billion transactions later, an id
that is young again: then all are to be read.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql as pgsql

from connectors.abilities import ReadPlan

MAX_SEEN = 100_000
"""Transactions that are remembered. Of so many that end while an older one is still open, the
rows of all further ones wait until that has ended."""
CHANGED = (
    "Rows were updated or deleted since the last run, so all rows are read. "
    "In mode full they always are; cdc and, with a primary key, xid read what has changed."
)
HELD_BACK = (
    f"More than {MAX_SEEN:,} transactions have ended beside one that is still open; "
    "rows of the youngest are read once that has ended."
)
NO_IDS = "A view, or a table that keeps no transaction ids, is read in full every time."

CENSUS = """
SELECT young::text, count(*), count(*) FILTER (WHERE is_new)
FROM (SELECT CASE WHEN {young} THEN xmin END AS young, {is_new} AS is_new FROM {rows}) AS found
GROUP BY young LIMIT {most}
"""
SETTLED = """
SELECT count(*), count(*) FILTER (WHERE is_new)
FROM (SELECT {is_new} AS is_new FROM {rows} AND {settled}) AS found
"""
STILL_YOUNG = "SELECT id::text FROM unnest({seen}::xid[]) AS id WHERE age(id) BETWEEN 0 AND {age}"

ALL = pgsql.SQL("true")
Ask = Callable[[pgsql.Composed], Iterable[tuple[Any, ...]]]


@dataclass(frozen=True)
class Census:
    """What a table has: all rows, new rows, the young transactions whose rows are among those."""

    rows: int
    new: int
    seen: str
    holds_back: bool = False


def written_since(age: int, seen: str = "") -> pgsql.Composable:
    """The condition of rows written by transactions of that age at most, and not by those seen."""
    young = pgsql.SQL("age(xmin) BETWEEN 0 AND {}").format(pgsql.Literal(age))
    return pgsql.SQL("({} AND NOT {})").format(young, _among(seen)) if seen else young


def settled(age: int, seen: str) -> pgsql.Composable:
    """The condition of rows of transactions that are older, or were seen."""
    condition = pgsql.SQL("(age(xmin) NOT BETWEEN 0 AND {}{})")
    known = pgsql.SQL(" OR {}").format(_among(seen)) if seen else pgsql.SQL("")
    return condition.format(pgsql.Literal(age), known)


def census(
    ask: Ask,
    parts: Sequence[pgsql.Composable],
    young_age: int,
    since_age: int | None,
    seen_before: str,
) -> Census:
    """Count the parts, each of which is ``table WHERE condition``.

    ``young_age`` is that of the oldest transaction in flight; what is new was written since
    ``since_age``, or ever, and not by transactions that were seen before.
    """
    is_new = ALL if since_age is None else written_since(since_age, seen_before)
    rows = new = 0
    seen: set[str] = set()
    for part in parts:
        found = list(ask(_census_of(part, young_age, is_new)))
        seen.update(young for young, *_ in found if young is not None)
        if len(seen) > MAX_SEEN:
            return _held_back(ask, parts, young_age, is_new, seen_before)
        rows += sum(count for _, count, _ in found)
        new += sum(count for *_, count in found)
    return Census(rows, new, ",".join(sorted(seen, key=int)))


def planned(plan: ReadPlan, counted: Census) -> ReadPlan:
    """The plan of a table of which this was counted: the new rows, or all that are to be had."""
    since = plan.since
    is_kept = since is None or (since.rows or 0) + counted.new == counted.rows
    notes = [] if is_kept else [CHANGED]
    if counted.holds_back:
        notes.append(HELD_BACK)
    return replace(
        plan,
        watermark=replace(plan.watermark, seen=counted.seen, rows=counted.rows),
        since=since if is_kept else None,
        estimated_rows=counted.new if since and is_kept else counted.rows,
        holds_back=counted.holds_back,
        note=" ".join(notes),
    )


def _held_back(
    ask: Ask,
    parts: Sequence[pgsql.Composable],
    young_age: int,
    is_new: pgsql.Composable,
    seen_before: str,
) -> Census:
    """Only rows that need not be remembered, and those that already are."""
    known = pgsql.SQL(STILL_YOUNG).format(
        seen=pgsql.Literal(f"{{{seen_before}}}"), age=pgsql.Literal(young_age)
    )
    seen = ",".join(young for (young,) in ask(known))
    counts = [
        next(iter(ask(pgsql.SQL(SETTLED).format(is_new=is_new, rows=part, settled=condition))))
        for condition in [settled(young_age, seen)]
        for part in parts
    ]
    return Census(sum(c[0] for c in counts), sum(c[1] for c in counts), seen, holds_back=True)


def _census_of(part: pgsql.Composable, young_age: int, is_new: pgsql.Composable) -> pgsql.Composed:
    # One group is of the rows that are not young; one more than the most shows that it is passed.
    return pgsql.SQL(CENSUS).format(
        young=written_since(young_age),
        is_new=is_new,
        rows=part,
        most=pgsql.Literal(MAX_SEEN + 2),
    )


def _among(seen: str) -> pgsql.Composable:
    # As a subquery it is looked up in a hash table, by every version of Postgres.
    ids = pgsql.Literal(f"{{{seen}}}")
    return pgsql.SQL("xmin IN (SELECT unnest({}::xid[]))").format(ids)
