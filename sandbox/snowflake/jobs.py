"""Statements under way and done: run in threads, waited for, cancelled, timed out, remembered."""

import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import duckdb

from sandbox.snowflake.errors import SqlError, canceled, timed_out
from sandbox.snowflake.results import Result, Shelf
from sandbox.snowflake.sessions import Session

log = logging.getLogger("sandbox.snowflake")

_REMEMBERED = 10_000
_TEXT_REMEMBERED = 16_384
_INTERRUPT_EVERY_S = 0.05


@dataclass(frozen=True)
class Request:
    """A statement as the client sent it."""

    text: str
    bindings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    describe_only: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)


class Job:
    """One statement of one session, from the moment it arrives."""

    def __init__(self, session: Session, request: Request, request_id: str) -> None:
        """Prepare; nothing runs yet."""
        self.id = str(uuid.uuid4())
        self.session = session
        self.request = request
        self.request_id = request_id
        self.text = request.text[:_TEXT_REMEMBERED]
        self.tag = str(request.parameters.get("QUERY_TAG") or session.parameters.text("QUERY_TAG"))
        self.place = (session.database, session.schema, session.warehouse, session.role)
        self.result_key = uuid.uuid4().hex
        self.started_at = datetime.now(UTC)
        self.ended_at: datetime | None = None
        self.error: SqlError | None = None
        self.rows: int | None = None
        self.future: Future[Result] = Future()
        self._stopped_by: SqlError | None = None
        self._stop = threading.Event()
        # Held while it is decided whether the session's connection runs this statement.
        self._deciding = threading.Lock()
        self._running = False

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.future.done()

    @property
    def status(self) -> str:
        """Snowflake's word for how it stands."""
        if not self.done:
            return "RUNNING"
        return "SUCCESS" if self.error is None else "FAILED_WITH_ERROR"

    def stop(self, why: SqlError) -> None:
        """Make the statement end with this error as soon as it can; returns at once."""
        if self._stop.is_set() or self.done:
            return
        self._stopped_by = why
        self._stop.set()
        threading.Thread(target=self._interrupt, daemon=True).start()

    def check(self) -> None:
        """Raise the error the statement is to end with, if somebody stopped it."""
        if self._stopped_by is not None:
            raise self._stopped_by

    def wait(self, seconds: float) -> None:
        """Sleep as part of the statement; raises as `check` does."""
        self._stop.wait(seconds)
        self.check()

    def run(self, execute: Callable[["Job"], Result]) -> None:
        """Run to the end, whatever happens; the future then holds a Result or a SqlError."""
        timer = threading.Timer(timeout := self._timeout_s(), self.stop, [timed_out(timeout)])
        timer.daemon = True
        timer.start()
        try:
            with self._turn():
                outcome: Result | SqlError = self._outcome(execute)
        except SqlError as error:
            outcome = error
        finally:
            timer.cancel()
        self._finish(outcome)

    def _timeout_s(self) -> float:
        name = "STATEMENT_TIMEOUT_IN_SECONDS"
        wish = self.request.parameters.get(name) or self.session.parameters.number(name)
        # Zero means the longest that Snowflake allows.
        return float(wish) or 604_800.0

    def _outcome(self, execute: Callable[["Job"], Result]) -> Result | SqlError:
        try:
            return execute(self)
        except SqlError as error:
            return error
        except Exception as error:
            if self._stopped_by is not None:
                # However duckdb puts it that it was interrupted.
                return self._stopped_by
            log.exception("query.broken", extra={"query_id": self.id})
            return SqlError("000002", "0A000", f"This stand-in failed: {type(error).__name__}.")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        while not self.session.turn.acquire(timeout=_INTERRUPT_EVERY_S):
            self.check()
        try:
            self.check()
            with self._deciding:
                self._running = True
            yield
        finally:
            with self._deciding:
                self._running = False
            self.session.turn.release()

    def _interrupt(self) -> None:
        # Again and again: one that arrives between two of a statement's steps is lost.
        while not self.done:
            with self._deciding:
                if self._running:
                    try:
                        self.session.duck.interrupt()
                    except duckdb.ConnectionException:
                        return
            time.sleep(_INTERRUPT_EVERY_S)

    def _finish(self, outcome: Result | SqlError) -> None:
        self.ended_at = datetime.now(UTC)
        # A job is remembered for long, and what it was sent may be large.
        self.request = Request(self.text)
        if isinstance(outcome, SqlError):
            self.error = outcome
            self.future.set_exception(outcome)
        else:
            self.rows = outcome.total
            self.future.set_result(outcome)
        log.info(
            "query.finished",
            extra={"query_id": self.id, "status": self.status, "rows": self.rows},
        )


class Jobs:
    """All statements of one server, newest last."""

    def __init__(self, execute: Callable[["Jobs", Job], Result]) -> None:
        """Run statements with `execute`, which gets this registry and the statement."""
        self._execute = partial(execute, self)
        self._by_id: OrderedDict[str, Job] = OrderedDict()
        self._by_request: dict[tuple[int, str], Job] = {}
        self._changing = threading.Lock()
        self._shelf = Shelf()

    def submit(self, session: Session, request: Request, request_id: str) -> Job:
        """Start a statement; the same request again, as after a lost answer, joins the first."""
        with self._changing:
            key = (session.number, request_id)
            if key in self._by_request:
                return self._by_request[key]
            job = Job(session, request, request_id)
            self._by_id[job.id] = self._by_request[key] = job
            self._forget_old()
        job.future.add_done_callback(self._shelf.keep)
        threading.Thread(target=job.run, args=[self._execute], daemon=True).start()
        return job

    def get(self, query_id: str) -> Job | None:
        """Find a statement by its query id."""
        return self._by_id.get(query_id)

    def cancel(self, query_id: str) -> bool:
        """Cancel by query id; false when there is no such statement."""
        return self._cancel(self._by_id.get(query_id))

    def cancel_request(self, session: Session, request_id: str) -> bool:
        """Cancel by the id of the request that brought it; false when there is none."""
        return self._cancel(self._by_request.get((session.number, request_id)))

    def cancel_session(self, session: Session) -> None:
        """Cancel all that a session has under way."""
        for job in self.all():
            if job.session is session:
                self._cancel(job)

    def cancel_all(self) -> None:
        """Cancel everything, as when the server stops."""
        for job in self.all():
            self._cancel(job)

    def all(self) -> list[Job]:
        """List what is remembered, oldest first."""
        with self._changing:
            return list(self._by_id.values())

    @staticmethod
    def _cancel(job: Job | None) -> bool:
        if job is None:
            return False
        job.stop(canceled())
        return True

    def _forget_old(self) -> None:
        while len(self._by_id) > _REMEMBERED:
            _, oldest = self._by_id.popitem(last=False)
            self._by_request.pop((oldest.session.number, oldest.request_id), None)
