"""What a query in progress is to whoever reads it, wherever its rows come from."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

import pyarrow as pa

from connectors.types import RunStats


def total(values: Iterable[Any]) -> Any:
    """The sum of the figures of a run's parts; ``None`` where one of them is not known."""
    found = list(values)
    return None if None in found else sum(found)


@dataclass(frozen=True)
class Origin:
    """Which run asked the warehouse, and when; the rows are as of then, or a little newer."""

    as_of: datetime
    run_id: str
    vendor_query_id: str | None = None
    cached: bool = False
    age_s: float = 0.0
    """When this run began; 0 where it asked the warehouse itself."""


class Run(ABC):
    """Start it, iterate it for RecordBatches, and close it; its totals are final at the end."""

    run_id: str

    @abstractmethod
    def start(self) -> None:
        """Return when the first rows can be read; raises ConnectorError."""

    def start_at_hand(self) -> bool:
        """Start it if all of its rows are at hand, so that nothing runs for them anywhere; false
        where it has yet to be started."""
        return False

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Known once it has started."""

    @property
    @abstractmethod
    def rows(self) -> int: ...

    @property
    @abstractmethod
    def truncated(self) -> bool:
        """A limit on rows or bytes has cut the result."""

    @property
    @abstractmethod
    def stats(self) -> RunStats: ...

    @property
    @abstractmethod
    def origin(self) -> Origin: ...

    @abstractmethod
    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    @abstractmethod
    def cancel(self) -> bool:
        """End it, from another thread; its reader gets QueryCancelled.

        False while there is nothing yet that could be ended.
        """

    @abstractmethod
    def close(self) -> None:
        """End it if it still runs, and free what it holds; harmless when repeated."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class ChosenRun(Run):
    """One that is another, which may show only when it starts."""

    _run: Run | None = None

    @property
    def schema(self) -> pa.Schema:
        return self._begun().schema

    @property
    def rows(self) -> int:
        return self._begun().rows

    @property
    def truncated(self) -> bool:
        return self._begun().truncated

    @property
    def stats(self) -> RunStats:
        return self._begun().stats

    @property
    def origin(self) -> Origin:
        return self._begun().origin

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return iter(self._begun())

    def close(self) -> None:
        if self._run is not None:
            self._run.close()

    def _begun(self) -> Run:
        if self._run is None:
            raise RuntimeError("A query is read after it has been started.")
        return self._run


class OlderRun(ChosenRun):
    """One that reads rows of an earlier moment than its asking: of a view that is kept there."""

    def __init__(self, run: Run, as_of: datetime) -> None:
        self.run_id = run.run_id
        self._run = run
        self._as_of = as_of

    def start(self) -> None:
        self._begun().start()

    @property
    def origin(self) -> Origin:
        own = super().origin
        return replace(own, as_of=min(own.as_of, self._as_of))

    def cancel(self) -> bool:
        return self._begun().cancel()
