"""Optional abilities of a connector, asked for with ``isinstance``."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
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
