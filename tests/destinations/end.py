"""What the tests know of a destination: a place of the test's own, looked at past our connector."""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from connectors import Connector, NetworkPolicy, connect
from connectors.types import LoadMode, LoadTarget

Row = tuple[Any, ...]


class End(ABC):
    """One destination. Names of columns are the source's, in lower case."""

    provider: ClassVar[str]
    modes: ClassVar[frozenset[LoadMode]] = frozenset(LoadMode)
    holds_any_json: ClassVar[bool] = False
    """JSON is text there, with numbers of any length."""
    has_grants: ClassVar[bool] = True
    """GRANT can be said; not every stand-in takes it."""
    has_snapshots: ClassVar[bool] = True
    """A transaction may see nothing but what was there when it began."""
    has_datasets: ClassVar[bool] = False
    """Each schema has an INFORMATION_SCHEMA of its own."""

    def __init__(self, endpoints: dict[str, Any], network: NetworkPolicy, root: str) -> None:
        self.endpoints, self.network, self.root = endpoints, network, root
        self.schema = f"t_{uuid.uuid4().hex[:12]}"
        self._open: list[Connector] = []

    @abstractmethod
    def form(self) -> dict[str, Any]:
        """Credentials of somebody who may load."""

    @abstractmethod
    def stage(self) -> str:
        """How it reaches the bucket."""

    @abstractmethod
    def make(self) -> None:
        """Make the schema."""

    @abstractmethod
    def drop(self) -> None:
        """Forget everything."""

    @abstractmethod
    def rows(self, columns: str = "*") -> list[Row]:
        """What the target holds, sorted; empty where there is none."""

    @abstractmethod
    def ledger(self) -> list[Row]:
        """Load, fence, rows and files of each load, oldest first."""

    @abstractmethod
    def cut_off(self, worker: Any, after: int, fault: BaseException) -> Callable[[], bool]:
        """Have the worker fail once it has done so many things; tells whether it has."""

    def target(self, **changes: Any) -> LoadTarget:
        given = {"schema": self.schema, "table": "orders", "stage": self.stage(), "fence": 1}
        return LoadTarget(**{**given, **changes})

    def connect(self) -> Any:
        made = connect(self.provider, self.form(), network=self.network)
        self._open.append(made)
        return made

    def close(self) -> None:
        for connector in self._open:
            connector.close()


class Statements:
    """Runs a worker's statements, and raises instead of the answer to one that writes."""

    READS = ("SELECT", "SHOW")

    def __init__(self, worker: Any, after: int, fault: BaseException) -> None:
        self._run, self._fault, self._left = worker._run, fault, after + 1
        worker._run = self

    def happened(self) -> bool:
        return self._left <= 0

    def __call__(self, sql: str, *rest: Any, **named: Any) -> Any:
        if self.happened():
            # Nor does it tidy up.
            raise self._fault
        answer = self._run(sql, *rest, **named)
        if not sql.startswith(self.READS):
            self._left -= 1
            if self.happened():
                raise self._fault
        return answer
