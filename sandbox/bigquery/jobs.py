"""Query jobs: each runs in a thread, can be stopped, and is remembered for a while."""

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from sandbox.bigquery.engine import Session, Stopped
from sandbox.bigquery.errors import ApiError, invalid, job_not_found, not_offered, table_denied
from sandbox.bigquery.query_request import QueryRequest
from sandbox.bigquery.resolve import RESULTS
from sandbox.bigquery.runner import Outline, Plan, Result, Runner
from sandbox.bigquery.settings import LOCATION, Account

log = logging.getLogger(__name__)

CANCELLED = "Job execution was cancelled: User requested cancellation"
_INTERRUPT_AGAIN_S = 0.02
_JOBS_KEPT = 2000
_RESULT_BYTES_KEPT = 128 * 1024 * 1024


class Job:
    """One query job. Its state only ever goes PENDING → RUNNING → DONE."""

    def __init__(self, job_id: str, account: Account, request: QueryRequest) -> None:
        self.id = job_id
        self.account = account
        self.request = request
        self.table_id = f"anon{uuid.uuid4().hex}"
        self.state = "PENDING"
        self.created_ms = _now_ms()
        self.started_ms: int | None = None
        self.ended_ms: int | None = None
        self.outline: Outline | None = None
        self.result: Result | None = None
        self.error: ApiError | None = None
        self.finished: Future[None] = Future()
        # Somebody who waits for it and gives up must not cancel it for all.
        self.finished.set_running_or_notify_cancel()
        self._stop: ApiError | None = None
        self._session: Session | None = None
        self._lock = threading.Lock()

    def run(self, runner: Runner) -> None:
        """Run to the end; whatever happens is recorded here and nothing is raised."""
        with self._lock:
            if self.state == "DONE":
                return
            self.state, self.started_ms = "RUNNING", _now_ms()
        try:
            result = self._run(runner)
        except ApiError as error:
            self._finish(None, self._stop or error)
        except Exception as error:
            if self._stop is None and not isinstance(error, Stopped):
                log.exception("job %s failed in a way nobody expected", self.id)
            message = f"this statement broke it: {type(error).__name__}: {error}"
            self._finish(None, self._stop or not_offered(message))
        else:
            # It ended before the interrupt reached it: what it did is done.
            self._finish(result, None)

    def stop(self, message: str) -> None:
        """End the job with reason `stopped`; return when it has ended."""
        with self._lock:
            if self.state == "DONE":
                return
            self._stop = self._stop or ApiError(499, "stopped", message)
            if self.state == "PENDING":
                self._end(None, self._stop)
        # DuckDB forgets an interrupt that comes between two statements, hence again and again.
        while not self.wait(_INTERRUPT_AGAIN_S):
            session = self._session
            if session is not None:
                session.stop()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end; tell whether it came."""
        try:
            self.finished.result(timeout_s)
        except TimeoutError:
            return False
        return True

    def _run(self, runner: Runner) -> Result:
        request = self.request
        plan = runner.plan(request.sql, self.account, request.parameters, request.default_dataset)
        self.outline = plan.outline()
        check_limit(plan, request)
        self._session = runner.open_session(plan)
        if self._stop is not None:
            self._session.stop()
        return runner.run(plan, self._session, self.id)

    def _finish(self, result: Result | None, error: ApiError | None) -> None:
        with self._lock:
            self._end(result, error)

    def _end(self, result: Result | None, error: ApiError | None) -> None:
        """Record the end; whoever calls holds the lock."""
        self.state, self.ended_ms = "DONE", _now_ms()
        self.result, self.error, self._session = result, error, None
        self.finished.set_result(None)


class Jobs:
    """The jobs of one project; safe to use from several threads."""

    def __init__(self, runner: Runner, project: str, running_jobs: int) -> None:
        self._runner = runner
        self._project = project
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(running_jobs, thread_name_prefix="job")

    def start(self, request: QueryRequest, account: Account, job_id: str | None = None) -> Job:
        """Queue a query and return at once; raise the 409 of an id that is taken."""
        job = Job(job_id or f"job_{uuid.uuid4().hex}", account, request)
        with self._lock:
            if job.id in self._jobs:
                message = f"Already Exists: Job {self._project}:{LOCATION}.{job.id}"
                raise ApiError(409, "duplicate", message)
            self._jobs[job.id] = job
            self._forget_old()
        self._threads.submit(job.run, self._runner)
        if request.timeout_ms:
            self._stop_later(job, request.timeout_ms)
        return job

    def find(self, job_id: str) -> Job | None:
        with self._lock:
            return self._jobs.get(job_id)

    def get(self, job_id: str, account: Account) -> Job:
        """Return a job an account may see: its own, or any when it may write."""
        job = self.find(job_id)
        if job is None or not (account.can_write or job.account == account):
            raise job_not_found(self._project, job_id)
        return job

    def newest_first(self) -> list[Job]:
        with self._lock:
            return list(reversed(self._jobs.values()))

    def delete(self, job: Job) -> None:
        if job.state != "DONE":
            raise invalid("Only a job that is done can be deleted.")
        with self._lock:
            self._jobs.pop(job.id, None)

    def result_table(self, table_id: str, account: Account) -> pa.Table:
        """Return the rows of a finished query by the name of its anonymous table."""
        job = self.job_of_table(table_id, account)
        if job.result is None:
            raise ApiError(
                404, "notFound", f"Not found: Table {self._project}:{RESULTS}.{table_id}"
            )
        return job.result.table

    def job_of_table(self, table_id: str, account: Account | None) -> Job:
        """Return the job behind an anonymous table; None stands for a client without a name."""
        for job in self.newest_first():
            if job.table_id == table_id:
                if account is not None and not (account.can_write or job.account == account):
                    raise table_denied(self._project, RESULTS, table_id)
                return job
        raise ApiError(404, "notFound", f"Not found: Table {self._project}:{RESULTS}.{table_id}")

    def close(self) -> None:
        """Stop everything that runs or waits."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for job in self.newest_first():
            job.stop(CANCELLED)

    def _stop_later(self, job: Job, timeout_ms: int) -> None:
        message = f"Job execution was cancelled: Job timed out after {timeout_ms / 1000:g} sec"
        timer = threading.Timer(timeout_ms / 1000, job.stop, (message,))
        timer.daemon = True
        job.finished.add_done_callback(lambda _: timer.cancel())
        timer.start()

    def _forget_old(self) -> None:
        finished = [job for job in self._jobs.values() if job.state == "DONE"]
        for job in finished[: max(0, len(self._jobs) - _JOBS_KEPT)]:
            del self._jobs[job.id]
        for job in _beyond(_RESULT_BYTES_KEPT, reversed(finished)):
            job.result = None


def check_limit(plan: Plan, request: QueryRequest) -> None:
    """Refuse what would be billed more than maximumBytesBilled allows."""
    if not request.maximum_bytes_billed:
        return
    billed = plan.estimate.bytes_billed
    if billed is None:
        raise not_offered("this statement cannot be priced, so maximumBytesBilled cannot be kept.")
    if billed > request.maximum_bytes_billed:
        raise ApiError(
            400,
            "bytesBilledLimitExceeded",
            f"Query exceeded limit for bytes billed: {request.maximum_bytes_billed}. "
            f"{billed} or higher required.",
        )


def _beyond(limit: int, newest_first: Iterator[Job]) -> Iterator[Job]:
    """Yield the jobs whose results do not fit the limit any more, the newest one never."""
    with_result = [job for job in newest_first if job.result is not None]
    sizes = itertools.accumulate(job.result.table.nbytes for job in with_result if job.result)
    for number, (job, total) in enumerate(zip(with_result, sizes, strict=True)):
        if number and total > limit:
            yield job


def _now_ms() -> int:
    return int(time.time() * 1000)
