"""One query job of BigQuery: sent, waited for, and its rows read as they arrive.

Rows come over the Storage Read API, in one stream, so that they keep the order of an ORDER BY and
no more than a message or two of them is in memory; where no such endpoint is known, over REST.
"""

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from connectors import errors
from connectors.bigquery.types import arrow_schema, converted
from connectors.polling import pauses
from connectors.prices import BigQueryPrices
from connectors.result import Execution
from connectors.types import RunStats

# The client's own annotations are partial and refuse its documented retry=None.
Client = Any
Config = Any
Job = Any
Storage = Any

CALL_TIMEOUT_S = 5.0
PATIENCE_S = 3.0
PAGE_ROWS = 50_000


def sent(client: Client, sql: str, config: Config, location: str | None, timeout_s: float) -> Job:
    """A statement or a script of our own, on its way."""
    return client.query(
        sql,
        job_config=config,
        job_id=str(uuid.uuid4()),
        location=location,
        retry=None,
        job_retry=None,
        timeout=timeout_s,
    )


def ended(job: Job, timeout_s: float) -> None:
    """Wait until it has run; raises what it failed with, and QueryTimeout."""
    deadline = time.monotonic() + timeout_s
    for pause in pauses():
        if job.done(retry=None, timeout=CALL_TIMEOUT_S):
            break
        if time.monotonic() > deadline:
            raise errors.QueryTimeout()
        time.sleep(pause)
    if failure := job.exception(CALL_TIMEOUT_S):
        raise failure


def used(jobs: Sequence[Job], prices: BigQueryPrices) -> RunStats:
    """By jobs that have ended, all together; the id is the first one's."""
    scanned = [job.total_bytes_processed for job in jobs]
    billed = [job.total_bytes_billed for job in jobs]
    bytes_billed = None if None in billed else sum(billed)
    return RunStats(
        jobs[0].job_id,
        None if None in scanned else sum(scanned),
        bytes_billed,
        None if bytes_billed is None else prices.of_billed(bytes_billed),
        prices.currency,
    )


class BigQueryExecution(Execution):
    """A query job under an id of our own, by which it can be cancelled before it has answered."""

    def __init__(
        self,
        client: Client,
        storage: Storage | None,
        sql: str,
        config: Config,
        timeout_s: float,
        prices: BigQueryPrices,
        location: str | None = None,
    ) -> None:
        self._client = client
        self._storage = storage
        self._sql = sql
        self._config = config
        self._timeout_s = timeout_s
        self._prices = prices
        self._location = location
        self._job_id = str(uuid.uuid4())
        self._job: Job | None = None
        self._sent = False
        self._stream: Any = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Send it and wait until it has run; ended in the warehouse when it does not.

        Raises QueryTimeout and QueryCancelled beside the client's errors.
        """
        self._deadline = time.monotonic() + self._timeout_s
        self._sent = True
        try:
            # Once: the client would send some jobs again for ten minutes.
            self._job = self._client.query(
                self._sql,
                job_config=self._config,
                job_id=self._job_id,
                location=self._location,
                retry=None,
                job_retry=None,
                timeout=self._timeout_s,
            )
            self._wait(self._job)
            # Not result(): it may wait for two minutes on a server that says nothing.
            self._rows = self._client.get_table(
                self._job.destination, retry=_again(), timeout=CALL_TIMEOUT_S
            )
            self.schema = arrow_schema(self._rows.schema)
        except BaseException as exc:
            # Whatever ended the wait, the job would run on and be billed. If the cancel fails
            # too, the first error is the one that says why.
            with suppress(Exception):
                self.close()
            if _is_a_timeout(exc) and time.monotonic() >= self._deadline:
                raise errors.QueryTimeout() from exc
            raise

    def _wait(self, job: Job) -> None:
        """Wait until it has run; raises what it failed with."""
        for pause in pauses():
            if job.done(retry=_again(), timeout=CALL_TIMEOUT_S):
                break
            if time.monotonic() > self._deadline:
                raise errors.QueryTimeout()
            time.sleep(pause)
        if job.error_result and "timed out" in job.error_result.get("message", ""):
            raise errors.QueryTimeout()
        if failure := job.exception(CALL_TIMEOUT_S):
            raise failure

    def batches(self) -> Iterator[pa.RecordBatch]:
        storage = self._storage
        arriving = self._from_rest() if storage is None else self._from_storage(storage)
        for batch in arriving:
            yield converted(batch, self.schema)

    def _from_rest(self) -> Iterator[pa.RecordBatch]:
        for start in range(0, self._rows.num_rows, PAGE_ROWS):
            page = self._client.list_rows(
                self._rows,
                start_index=start,
                max_results=PAGE_ROWS,
                retry=None,
                timeout=self._left_s(),
            )
            yield from page.to_arrow_iterable()

    def _from_storage(self, storage: Storage) -> Iterator[pa.RecordBatch]:
        from google.cloud.bigquery_storage_v1 import types

        packed = types.ArrowSerializationOptions(
            buffer_compression=types.ArrowSerializationOptions.CompressionCodec.LZ4_FRAME
        )
        session = storage.create_read_session(
            parent=f"projects/{self._client.project}",
            read_session=types.ReadSession(
                table=self._rows.reference.to_bqstorage(),
                data_format=types.DataFormat.ARROW,
                read_options=types.ReadSession.TableReadOptions(arrow_serialization_options=packed),
            ),
            max_stream_count=1,
            retry=None,
            timeout=self._left_s(),
        )
        schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
        for stream in session.streams:
            for message in self._messages(storage, stream.name):
                data = message.arrow_record_batch.serialized_record_batch
                yield pa.ipc.read_record_batch(pa.py_buffer(data), schema)

    def _messages(self, storage: Storage, name: str) -> Iterator[Any]:
        """All messages of a stream; one that breaks goes on where it was, unless at once again."""
        from google.api_core.exceptions import ServiceUnavailable

        done, is_first = 0, True
        while True:
            try:
                self._stream = storage.read_rows(
                    read_stream=name, offset=done, retry=None, timeout=self._left_s()
                )
                for message in self._stream:
                    done, is_first = done + message.row_count, False
                    yield message
            except ServiceUnavailable:
                if is_first or self._stopped.is_set():
                    raise
                is_first = True
            else:
                return

    def _left_s(self) -> float:
        return max(0.1, self._deadline - time.monotonic())

    def stats(self) -> RunStats:
        return used([self._job], self._prices)

    def cancel(self) -> None:
        self._stopped.set()
        if self._stream is not None:
            self._stream.cancel()
        elif self._sent and not self._has_ended():
            self._cancel_job()

    def _cancel_job(self) -> None:
        from google.api_core.exceptions import NotFound

        location = self._location if self._job is None else self._job.location
        # It may be on its way there still, or never have arrived.
        with suppress(NotFound):
            self._client.cancel_job(
                self._job_id, location=location, retry=None, timeout=CALL_TIMEOUT_S
            )

    def close(self) -> None:
        self._stopped.set()
        if self._stream is not None:
            self._stream.cancel()
        if self._sent and not self._has_ended():
            # Once, however it ends: a server that says nothing costs its time each time.
            self._sent = False
            self._cancel_job()

    def _has_ended(self) -> bool:
        return self._job is not None and self._job.state == "DONE"


def _is_a_timeout(exc: BaseException) -> bool:
    import requests

    return isinstance(exc, requests.Timeout)


def _again() -> Any:
    """For calls that change nothing: a moment's trouble is waited out, an end is not."""
    from google.cloud.bigquery import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(PATIENCE_S)


def accuracy(job: Job) -> str | None:
    """``PRECISE``, or how the dry run's bytes may be wrong; the client has no property for it."""
    found: str | None = (
        job._properties.get("statistics", {}).get("query", {}).get("totalBytesProcessedAccuracy")
    )
    return found


def label(value: str) -> str:
    """A label value as BigQuery takes it: lower case, at most 63 of [a-z0-9_-]."""
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in value.lower())[:63]
