"""One refresh of a view: its query's answer, whole or of those buckets that have changed.

Where something fails, the rows that are in place stay.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pyarrow as pa
from django.utils import timezone

from connectors import loading
from connectors.errors import ConnectorError
from connectors.types import RunStats
from warehouse import accounts, arriving, query_executor
from warehouse.errors import NotMaterialized, ViewTooLarge
from warehouse.federation import planner
from warehouse.hogql import tree
from warehouse.models import View
from warehouse.store import names
from warehouse.views import catalog, marks, outcome, target
from warehouse.views.marks import Made, Renewal
from warehouse.views.outcome import Refreshed
from warehouse.views.parts import ROWS, Parts, parts
from warehouse.views.table import ViewTable


def refresh(view: View, fence: int, still_mine: Callable[[], None]) -> Refreshed:
    """Put the view's answer in place, and say so in its row.

    ``still_mine`` is called before the new rows show, and raises where they must not any more.
    Raises ConnectorError; NotMaterialized where it is not to be kept, or not any more.
    """
    if not view.is_materialized:
        raise NotMaterialized()
    if view.target is not None:
        return target.fill(view, view.target, fence, still_mine)
    table = _table(view, fence)
    try:
        return _Refreshing(view, table, still_mine).done()
    finally:
        # What cannot be dropped now is dropped by the next one.
        with suppress(ConnectorError):
            table.clear()


def clear(view: View, fence: int) -> None:
    """Remove what a refresh, and those before it, have left aside. Raises ConnectorError."""
    if view.target is not None:
        target.clear(view.target, target.place_of(view, fence))
    else:
        _table(view, fence).clear()


def _table(view: View, fence: int) -> ViewTable:
    return ViewTable(view.team_id, names.view_table(view.pk), fence)


class _Refreshing:
    def __init__(self, view: View, table: ViewTable, still_mine: Callable[[], None]) -> None:
        self._view = view
        self._table = table
        self._still_mine = still_mine
        now = timezone.now()
        self._found = planner.planned(view.team, view.query, {})
        self._as_of = min(now, self._found.as_of or now)
        self._rows_computed = 0
        self._stats = RunStats()
        self._estimate = accounts.estimated(query_executor.priced(view.team, self._found))

    def done(self) -> Refreshed:
        found = parts(self._found.query, self._view.bucket) if self._view.bucket else []
        if not isinstance(found, Parts):
            self._fill(self._found.query)
            return self._put()
        renewal = self._renewal(found)
        if renewal is not None and not renewal.is_needed:
            return self._said(self._view.rows or 0, is_incremental=True)
        if renewal is not None and not renewal.is_too_much and self._renew(found, renewal):
            return self._put(is_incremental=True)
        self._fill(found.marked())
        return self._put()

    def _renewal(self, by: Parts) -> Renewal | None:
        """What has changed since the rows that are in place; ``None`` where that is not known."""
        view, there = self._view, self._table.schema()
        if there is None or not view.store_table or view.store_bucket != view.bucket:
            return None
        kind = there.field(view.bucket).type
        return marks.renewal(self._now(by), self._table.made_of(view.bucket, kind))

    def _now(self, by: Parts) -> dict[object, Made]:
        found: dict[object, Made] = {}
        summary = replace(self._found, query=by.summary())
        with query_executor.run_whole(self._view.team, summary) as run:
            run.start()
            for batch in run:
                buckets, *made = (column.to_pylist() for column in batch.columns)
                found |= zip(buckets, zip(*made, strict=True), strict=True)
            if run.truncated:
                raise ViewTooLarge()
            self._stats = run.stats
        return found

    def _renew(self, by: Parts, renewal: Renewal) -> bool:
        """Compute the buckets that have changed, and take over the others; false where the columns
        are not those of the rows in place."""
        schema = self._fill(by.only(renewal.changed))
        if schema != self._table.schema():
            return False
        self._table.carry(schema, self._view.bucket, renewal.gone)
        return True

    def _fill(self, query: tree.Query) -> pa.Schema:
        """All that a query answers into a version aside; its columns."""
        with query_executor.run_whole(self._view.team, replace(self._found, query=query)) as run:
            run.start()
            schema = arriving.schema_of(query.columns, run.schema)
            self._table.begin(schema)
            written = self._table.add(schema, arriving.fitting(run, schema))
            if run.truncated:
                raise ViewTooLarge()
            loading.agree(written, run.rows, "written to the table", "in the answer")
            self._rows_computed, self._stats = run.rows, run.stats
            # A leg may be an answer that was kept.
            self._as_of = min(self._as_of, run.origin.as_of)
        return schema

    def _put(self, *, is_incremental: bool = False) -> Refreshed:
        self._still_mine()
        return self._said(self._table.put(), is_incremental=is_incremental)

    def _said(self, rows: int, *, is_incremental: bool) -> Refreshed:
        view, schema = self._view, self._table.schema() or pa.schema([])
        outcome.keep(
            view,
            store_table=names.view_table(view.pk),
            store_columns=catalog.dump(self._found.query.columns),
            store_bucket=view.bucket if ROWS in schema.names else "",
            rows=rows,
            as_of=self._as_of,
        )
        mode, computed = self._found.mode, self._rows_computed
        return Refreshed(mode, is_incremental, rows, computed, self._stats, self._estimate)
