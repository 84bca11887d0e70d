"""Optional abilities of a connector, asked for with ``isinstance``."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import pyarrow as pa

from connectors.types import LoadOutcome, LoadTarget, Manifest, Watermark


@dataclass(frozen=True)
class Extraction:
    """Rows of one table out of one snapshot. Iterate ``batches`` once, then they are gone.

    ``full`` is true when every row is in it: the first time, or when the watermark given no
    longer fits the source. ``watermark`` may be stored only after the rows have arrived.
    """

    schema: pa.Schema
    primary_key: tuple[str, ...]
    watermark: Watermark
    full: bool
    estimated_rows: int | None
    batches: Iterator[pa.RecordBatch]


class Extract(ABC):
    """Reads a table's rows that are new or changed since a watermark."""

    @abstractmethod
    def extract(self, schema: str, table: str, since: Watermark | None) -> Extraction:
        """Bound and rows come from one snapshot; what was in flight then is read again later.

        Rows may come twice over two runs, never not at all. Deleted rows are not seen.
        Raises ObjectNotFound, PermissionDenied, ConnectionLost.
        """


@dataclass(frozen=True)
class ChangeWindow:
    """The net of some changes that follow each other: no key is in it twice.

    ``is_emptied``: the table was emptied first, and whatever came before this window is void.
    ``deletes`` has the columns of the key only.
    """

    is_emptied: bool
    upserts: pa.RecordBatch
    deletes: pa.RecordBatch


@dataclass(frozen=True)
class Changes:
    """What was committed up to ``watermark``. Iterate ``windows`` once, then they are gone.

    A later window counts more than an earlier one. A row may be newer than the watermark: then
    what has changed it comes again.
    """

    schema: pa.Schema
    primary_key: tuple[str, ...]
    watermark: Watermark
    windows: Generator[ChangeWindow]


class FollowChanges(ABC):
    """Reads what was inserted, updated, deleted and truncated, from the server's own log.

    ``name`` is of what the server keeps for it, one for each table that is followed. All raise
    ObjectNotFound, PermissionDenied, Unsupported, ResourceUnusable, ConnectionLost.
    """

    @abstractmethod
    def follow(self, name: str, schema: str, table: str) -> Watermark:
        """Have changes kept from now on; harmless when repeated.

        Read the whole table after this, and then the changes since the watermark.
        """

    @abstractmethod
    def changes(self, name: str, schema: str, table: str, since: Watermark) -> Changes:
        """Net changes since then; raises ChangesLost where the server has not kept them."""

    @abstractmethod
    def arrived(self, name: str, schema: str, table: str, upto: Watermark) -> None:
        """Let the server forget what was committed up to there."""

    @abstractmethod
    def unfollow(self, name: str, schema: str, table: str) -> None:
        """Have nothing kept any more; harmless when nothing is."""

    @abstractmethod
    def retained_bytes(self, name: str, schema: str, table: str) -> int | None:
        """How much the server keeps for it; ``None`` when nothing is followed."""


class BulkLoad(ABC):
    """Loads exactly the files of a manifest, once."""

    @abstractmethod
    def load(self, manifest: Manifest, target: LoadTarget) -> LoadOutcome:
        """Merge the manifest's rows into the target by primary key; repeating changes nothing.

        The rows, and the ledger row that remembers ``manifest.load_id``, are committed
        together. Raises LoadMismatch when the warehouse read another number of rows than the
        manifest has, LoadSuperseded when the ledger has a greater fence for this table,
        SchemaChanged when the target's columns are not the manifest's; then nothing is committed.
        """

    @abstractmethod
    def has_loaded(self, target: LoadTarget) -> bool:
        """The target exists and the ledger knows of a load into it.

        False means that a watermark says nothing about what is there: read everything.
        """
