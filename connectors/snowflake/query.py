"""One query in Snowflake: sent, waited for, read, ended.

It is submitted for Snowflake to run by itself, so its id is known at once and anybody can end it.
Then its result is asked for, which Snowflake answers when there is one: a short query costs one
more round trip than a call that waits, and keeps its error's number and state.

The client bounds none of its calls when a server falls silent, and tries a chunk that does not
come ten times. So they run in threads of their own, and the wait for them ends at the deadline.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from connectors.errors import InvalidParameters, QueryTimeout
from connectors.polling import pauses
from connectors.result import Execution
from connectors.snowflake import types
from connectors.types import Limits, Params, RunStats

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

T = TypeVar("T")

# Snowflake ends the query by itself at the limit, with the better error, so it goes first.
GRACE_S = 2.0
SUBMIT_S = 10
END_S = 5.0
# The client logs the addresses of results, which are as good as the rows, and what servers say;
# both are for our own log, masked.
logging.getLogger("snowflake.connector").setLevel(logging.CRITICAL)
AHEAD = 4
"""Chunks downloaded at once, as many as the client would."""


class SnowflakeExecution(Execution):
    """``silent`` is called when the server did not answer within the limit and some more."""

    def __init__(
        self,
        connection: "SnowflakeConnection",
        sql: str,
        params: list[object],
        limits: Limits,
        tags: Mapping[str, str],
        silent: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._sql = sql
        self._params = params
        self._settings = statement_settings(limits.timeout_s, tags)
        self._deadline = time.monotonic() + limits.timeout_s + GRACE_S
        self._silent = silent
        self._id: str | None = None
        self._cursor: Any = None
        self._fine: tuple[tuple[int, int], ...] = ()
        self._is_over = False
        self._is_lost = False
        self._closed = False

    def start(self) -> None:
        self._cursor = self._connection.cursor()
        self._in_time(begin(self._run))
        # The description that the client publishes does not have the length of a vector.
        columns = self._cursor._description_internal
        self.schema = types.arrow_schema(columns)
        self._fine = types.fine_columns(columns)

    def batches(self) -> Iterator[pa.RecordBatch]:
        # The client cannot decode a chunk of no rows.
        chunks = (chunk for chunk in self._cursor.get_result_batches() if chunk.rowcount)
        coming = deque(begin(partial(self._load, chunk)) for chunk in islice(chunks, AHEAD))
        while coming:
            table = self._in_time(coming.popleft())
            coming.extend(begin(partial(self._load, chunk)) for chunk in islice(chunks, 1))
            yield from table.to_batches()

    def stats(self) -> RunStats:
        """The id only: bytes scanned are in the history alone, which takes a query to read."""
        return RunStats(vendor_query_id=self._id)

    def cancel(self) -> None:
        if self._is_over:
            return
        # Where nobody answers, it is tried all the same, but not waited for.
        call = begin(self._abort)
        if wait([call], 0 if self._is_lost else END_S).done:
            call.result()

    def close(self) -> None:
        self._closed = True
        self.cancel()

    def _run(self) -> None:
        """Send the query and wait for its result, whoever still waits for this."""
        self._cursor.execute(
            self._sql,
            self._params or None,
            timeout=SUBMIT_S,
            _no_results=True,
            _statement_params=self._settings,
        )
        self._id = self._cursor.sfqid
        if self._closed:
            self._abort()
            return
        try:
            self._is_over = self._has_result()
        except Exception as exc:
            # Only what Snowflake itself says of a query comes with the query's id.
            self._is_over = getattr(exc, "sfqid", None) is not None
            self._is_lost = not self._is_over
            raise

    def _has_result(self) -> bool:
        """Wait for the result; false when nobody wants it any more."""
        for pause in pauses():
            if self._closed:
                break
            try:
                self._cursor.query_result(self._id)
            except KeyError as exc:
                # How the client takes it that there is no result as yet.
                if exc.args != ("rowtype",):
                    raise
            else:
                return True
            time.sleep(pause)
        return False

    def _abort(self) -> None:
        if self._id is not None:
            self._connection.cursor().abort_query(self._id)

    def _load(self, chunk: Any) -> pa.Table:
        if self._closed:
            return self.schema.empty_table()
        return types.table_of(chunk, self._connection, self.schema, self._fine)

    def _in_time(self, call: "Future[T]") -> T:
        if not wait([call], max(0.0, self._deadline - time.monotonic())).done:
            self._is_lost = True
            self._silent()
            raise QueryTimeout
        return call.result()


def begin(action: Callable[[], T]) -> "Future[T]":
    """Run it in a thread of its own, for which nobody waits at the end of the program either."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(action())
        except BaseException as exc:  # noqa: BLE001 told to whoever asks for the outcome
            outcome.set_exception(exc)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def bound_values(params: Params) -> list[object]:
    """Values for the ? placeholders; raises InvalidParameters for what cannot be one."""
    if isinstance(params, Mapping):
        raise InvalidParameters("Snowflake takes a list of values for the ? placeholders.")
    if any(isinstance(value, dict | list | tuple) for value in params):
        raise InvalidParameters("A parameter must be text, a number or a truth value.")
    return list(params)


def statement_settings(timeout_s: float, tags: Mapping[str, str]) -> dict[str, str]:
    """Parameters of one statement: it ends in time, is alone, and says whom it is for."""
    return {
        "STATEMENT_TIMEOUT_IN_SECONDS": str(max(1, round(timeout_s))),
        "MULTI_STATEMENT_COUNT": "1",
        "QUERY_TAG": json.dumps(tags),
    }
