"""A run's rows on their way to a client, whatever the format."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from api.hangup import HangupWatch
from warehouse.runs import Run


class RowStream(ABC):
    """Iterator over the body; closing it ends the query, also when nobody has read it.

    Made of a run that it starts: what goes wrong before the first row is raised, with the run
    closed. ``environ`` is the request's: a client that goes away ends the query.
    """

    def __init__(self, run: Run, environ: Mapping[str, Any]) -> None:
        self.run = run
        self._watch = HangupWatch(environ, run.cancel)
        try:
            run.start()
            self._batches = iter(run)
            self._first = next(self._batches, None)
            self.prepare()
        except BaseException:
            self.close()
            raise
        self._parts = self.body()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._parts)

    def close(self) -> None:
        """Called by the server when the answer has been sent or its client has gone."""
        self._watch.close()
        self.run.close()

    def prepare(self) -> None:  # noqa: B027 most formats hold whatever comes
        """Look whether the format can hold the rows; raises ConnectorError."""

    @abstractmethod
    def body(self) -> Iterator[bytes]:
        """The answer, part by part. An error inside must be seen by whoever reads the body."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows of the run."""
        if self._first is not None:
            yield self._first
            self._first = None
        yield from self._batches
