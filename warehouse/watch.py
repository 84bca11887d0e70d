"""The queries that this process runs: each gives its sign of life, and is ended when that is asked.

One thread looks after all of them, over one connection to the database, for as long as there are
any; a query that is over before its first look costs nothing here.
"""

import threading
from weakref import WeakValueDictionary

import structlog
from django.db import DatabaseError, connection

from connectors.errors import ConnectorError
from warehouse import accounts
from warehouse.runs import Run

log = structlog.get_logger(__name__)


class Watch:
    """``add`` a run when it begins, and ``remove`` it when it is over; one that everybody else has
    let go of is not looked after."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: WeakValueDictionary[str, Run] = WeakValueDictionary()
        self._ending: set[str] = set()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def add(self, run: Run) -> None:
        with self._lock:
            self._runs[run.run_id] = run
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="query-watch", daemon=True)
                self._thread.start()

    def remove(self, run: Run) -> None:
        with self._lock:
            self._runs.pop(run.run_id, None)
            self._ending.discard(run.run_id)

    def close(self) -> None:
        """Look after nothing any more, until something is added."""
        with self._lock:
            self._runs.clear()
            thread = self._thread
        if thread is not None:
            self._closed.set()
            thread.join()
            self._closed.clear()

    def _look(self) -> None:
        try:
            while not self._closed.wait(accounts.BEAT_S):
                runs = self._still()
                if not runs:
                    return
                self._beat(runs)
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None
            connection.close()

    def _still(self) -> dict[str, Run]:
        """Those that run; when there are none, whoever adds the next starts another thread."""
        with self._lock:
            runs = dict(self._runs)
            if not runs:
                self._thread = None
            return runs

    def _beat(self, runs: dict[str, Run]) -> None:
        try:
            asked = accounts.beat(list(runs))
        except DatabaseError as exc:
            # It may be back before the queries are taken for lost.
            log.warning("query.no_sign_of_life", error=type(exc).__name__)
            connection.close()
            return
        for run_id in asked:
            self._end(runs[run_id])

    def _end(self, run: Run) -> None:
        """In a thread of its own: a warehouse may take its time."""
        with self._lock:
            if run.run_id in self._ending:
                return
            self._ending.add(run.run_id)
        threading.Thread(target=self._cancel, args=[run], name="query-end", daemon=True).start()

    def _cancel(self, run: Run) -> None:
        reached = False
        try:
            reached = run.cancel()
        except ConnectorError as exc:
            log.warning("query.not_cancelled", run_id=run.run_id, code=exc.code)
        finally:
            connection.close()
        if not reached:
            # The next look tries again: it may not have begun yet.
            with self._lock:
                self._ending.discard(run.run_id)


watch = Watch()
