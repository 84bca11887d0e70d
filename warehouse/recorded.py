"""A query whose entry in the team's books is kept while it runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from connectors.errors import ConnectorError, QueryCancelled
from warehouse import accounts
from warehouse.models import QueryRun
from warehouse.runs import ChosenRun, Run
from warehouse.watch import watch


class RecordedRun(ChosenRun):
    """``row`` is the entry, which is reserved before anything runs and settled when this is closed;
    ``make`` gives the query itself, which is ``asked`` from the start on. One that was not
    reserved is settled when all rows have been read, so that whoever has them finds it.

    One that is closed before its last row has been read counts as cancelled. One that is cancelled
    before there is anything to end is not started any more.
    """

    def __init__(self, make: Callable[[], Run], row: QueryRun) -> None:
        self.run_id = str(row.pk)
        self.row = row
        self._make = make
        self._has_begun = False
        self._is_settled = False
        self._is_closed = False
        self._is_cancelled = False
        self._error: BaseException | None = QueryCancelled()
        self._kept: dict[str, Any] = {}

    def start(self) -> None:
        watch.add(self)
        with self.noted():
            run = self._run = self._make()
            if self._is_cancelled:
                raise QueryCancelled()
            if not run.start_at_hand():
                accounts.reserve(self.row)
                run.start()
        self._has_begun = True

    @property
    def asked(self) -> Run:
        return self._begun()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with self.noted():
            yield from super().__iter__()
        self._error = None
        if not accounts.is_written(self.row):
            self._settle()

    def cancel(self) -> bool:
        # The order matters: whoever starts it sets the run first and looks for this then.
        self._is_cancelled = True
        return self._run is not None and self._run.cancel()

    def keep(self, **kept: Any) -> None:
        """Also to be written down: where its rows are kept."""
        self._kept = kept

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        watch.remove(self)
        try:
            super().close()
        finally:
            self._settle()

    def _settle(self) -> None:
        if self._is_settled:
            return
        self._is_settled = True
        begun = self._run if self._has_begun else None
        accounts.settle(self.row, begun, self._error, **self._kept)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """What goes wrong inside is how the query has ended."""
        try:
            yield
        except GeneratorExit:
            raise
        except BaseException as exc:
            self._error = self._told(exc)
            if self._error is exc:
                raise
            raise self._error from exc

    def _told(self, exc: BaseException) -> BaseException:
        """A query that was cancelled fails with just that."""
        is_other = isinstance(exc, ConnectorError) and not isinstance(exc, QueryCancelled)
        return QueryCancelled() if self._is_cancelled and is_other else exc
