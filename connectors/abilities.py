"""Optional abilities of a connector, asked for with ``isinstance``."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, ClassVar, Protocol

import pyarrow as pa

from connectors.drift import LoadPlan
from connectors.errors import Unsupported
from connectors.quarantine import Quarantine, Unfit
from connectors.types import Cost, LoadMode, LoadOutcome, LoadTarget, Manifest, Watermark

Bounds = list[list[int | None]]
"""Which rows a chunk is, in its connector's own terms; plain JSON."""


@dataclass(frozen=True)
class Increment:
    """How rows that are new since a watermark are told from those that are not.

    By the transactions that wrote them: all those that had not ended then, and so some rows come
    again. ``once``: none does, of a table into which rows are only inserted, never updated or
    deleted. ``cursor``: by that column, which the source's own clock sets to now; what is dated
    back, or not dated, comes with a sweep, which goes by transactions and is due
    ``sweep_after_s`` after the last one. Where it cannot be trusted every reading is a sweep.
    """

    once: bool = False
    cursor: str = ""
    sweep_after_s: float = 0.0


BY_TRANSACTION = Increment()


@dataclass(frozen=True)
class ReadPlan:
    """How a table is read out of one snapshot, by any session that is told of it.

    ``chunks`` hold each row of the snapshot once; ``whole`` is the table in one piece. ``since``
    is ``None`` when every row is to be read: the first time, or when the watermark given no
    longer fits the source. ``watermark`` may be stored only after the rows have arrived.
    ``layout`` says where rows lie: while it is the same, a row that was not written since lies
    within the same bounds. ``snapshot`` lasts as long as the session that made the plan.
    ``holds_back``: rows are left for a later plan. ``cursor`` is the column by which they are told,
    where it is by one. ``note`` says that, or whatever else makes the
    plan another one than was asked for.
    """

    source_schema: str
    source_table: str
    columns: pa.Schema
    primary_key: tuple[str, ...]
    watermark: Watermark
    since: Watermark | None
    estimated_rows: int | None
    layout: str
    snapshot: str
    whole: Bounds
    chunks: tuple[Bounds, ...]
    holds_back: bool = False
    cursor: str = ""
    note: str = ""

    def of_keys(self) -> "ReadPlan":
        """The plan of the primary keys of all rows, in the same snapshot."""
        keys = pa.schema([self.columns.field(name) for name in self.primary_key])
        return replace(self, columns=keys, since=None)


class Extract(ABC):
    """Reads a table's rows in chunks: all of them, or what is new or changed since a watermark.

    One session leads: it makes the plan and keeps the snapshot. Every session reads, each one
    chunk at a time; one that keeps or has joined a snapshot does nothing else until ``release``.
    """

    tells_transactions: ClassVar[bool] = True
    """Rows can be told by the transactions that wrote them, and keys be read in the snapshot of
    the rows. Where not, ``plan`` takes an increment by a cursor, and reads all otherwise."""

    @abstractmethod
    def plan(
        self,
        schema: str,
        table: str,
        since: Watermark | None,
        chunk_bytes: int,
        increment: Increment = BY_TRANSACTION,
    ) -> ReadPlan:
        """Open a snapshot, and divide the table into chunks of about ``chunk_bytes`` at the source.

        Bound and rows come from one snapshot; what was in flight then is read again later. Rows
        may come twice over two runs, never not at all; where they are to come ``once``, the table
        is counted, and every row is to be read when some were updated or deleted since. Deleted
        rows are not seen. Raises ObjectNotFound, CursorUnfit, PermissionDenied, ConnectionLost.
        """

    @abstractmethod
    def covers(self, since: Watermark) -> bool:
        """What was written since can be told from what was not, in the plan's snapshot."""

    @abstractmethod
    def read(
        self,
        plan: ReadPlan,
        bounds: Bounds,
        since: Watermark | None,
        run_id: str = "",
        quarantine: Quarantine | None = None,
        *,
        gently: bool = False,
    ) -> Generator[pa.RecordBatch]:
        """The chunk's rows, or those of them written since a watermark that the plan covers.

        ``gently``: the server is asked for a little at a time, if it can be, and does nothing
        between: so whoever fetches batches slowly leaves it to others.

        A value that cannot be carried exactly raises DataError; with a ``quarantine`` it is NULL
        in its row and goes there, and raises what that raises.

        Nothing is read before the first batch is asked for; to be closed. ``cancel(run_id)``
        ends it with QueryCancelled. Raises SnapshotGone where the plan's snapshot cannot be
        joined, ConnectionLost, DataError.
        """

    @abstractmethod
    def hold(self) -> None:
        """Keep the session awake; raises SnapshotGone or ConnectionLost when it is not there."""

    @abstractmethod
    def release(self) -> None:
        """Let the snapshot go, and the locks with it; harmless when there is none."""


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


class StagedFiles(Protocol):
    """The bucket in which a manifest's files lie, for a destination that cannot find them by
    itself. Locations and names are those of the manifest; what goes wrong is a ConnectorError."""

    def url(self, location: str, name: str) -> str:
        """Where a file is, as ``s3://…``."""

    def open(self, location: str, name: str) -> BinaryIO:
        """A file's bytes, which are read as they come; to be closed."""

    def put(self, location: str, name: str, body: bytes) -> None:
        """Put a small file beside them, which goes when they go."""


class BulkLoad(ABC):
    """Loads exactly the files of a manifest, once."""

    load_modes: ClassVar[frozenset[LoadMode]] = frozenset(LoadMode)
    """What it can do with the rows that a target has; others raise Unsupported."""
    tells_last_load: ClassVar[bool] = False
    """Its ``last_load`` answers, so that what is only ever appended can be appended once."""
    compares_keys: ClassVar[bool] = False
    """It minds a manifest's ``keys``. Give none to one that does not."""
    folds_targets: ClassVar[bool] = False
    """Names of targets, or of their schemas, that differ in case only are one to it."""

    @classmethod
    @abstractmethod
    def stage_fault(cls, stage: str) -> str | None:
        """What is wrong with a pipeline's ``stage``: how the destination reaches the bucket."""

    @abstractmethod
    def load(self, manifest: Manifest, target: LoadTarget, files: StagedFiles) -> LoadOutcome:
        """Bring the manifest's rows into the target by its mode; repeating changes nothing.

        Where the columns differ, the target is altered first as its contract allows. The rows,
        the deletes, and the ledger row that remembers ``manifest.load_id``, are committed
        together. Raises LoadMismatch when the warehouse read or wrote another number of rows than
        the manifest has, LoadSuperseded when the ledger has a greater fence for this table,
        SchemaChanged when the contract does not allow what differs, TooManyDeletes when more rows
        than the target allows have a key that is not among the manifest's, Unsupported when the
        mode needs a key, or takes no deletes; then no row is committed.
        """

    @classmethod
    def unfit(cls, batch: pa.RecordBatch) -> Sequence[Unfit]:  # noqa: ARG003 all fit here
        """The values that Parquet can carry and the warehouse cannot hold exactly."""
        return ()

    def load_cost(self, seconds: float) -> Cost | None:
        """What a load that took so long was charged; ``None`` where nobody can know."""
        return None

    @abstractmethod
    def plan_load(
        self, schema: pa.Schema, primary_key: Sequence[str], target: LoadTarget
    ) -> LoadPlan:
        """What a load of such rows does to the target's columns first. Changes nothing."""

    @abstractmethod
    def has_loaded(self, target: LoadTarget) -> bool:
        """The target exists and the ledger knows of a load into it.

        False means that a watermark says nothing about what is there: read everything.
        """

    def last_load(self, target: LoadTarget) -> str | None:
        """The id of the latest load into the target; ``None`` where it has none, or is gone."""
        raise Unsupported(f"{type(self).__name__} does not tell its last load.")


@dataclass(frozen=True)
class Compared:
    """Rows to be compared with those of another system, and how; columns by the source's names.

    A row belongs to one of so many ``buckets``, by a checksum of its key; all to bucket 0
    where there is no ``key``. The columns in ``digested`` are told apart by their digests; those
    in ``carried`` have none that two systems agree on. ``plan`` is of the snapshot to be read.
    """

    schema: str
    table: str
    columns: pa.Schema
    key: tuple[str, ...]
    digested: tuple[str, ...]
    carried: tuple[str, ...]
    buckets: int
    plan: ReadPlan | None = None


class Compare(ABC):
    """Has checksums of rows computed where they lie, in the same way as any other system.

    A value's digest is the MD5 of its text in UTF-8, as 32 lower-case hexadecimal digits, or
    ``-`` for NULL. Its text is: of a number its digits, all those after the point too; ``true``
    or ``false``; of a date the days, of a time the microseconds since 1970 (in UTC); lower-case
    hexadecimal digits of bytes; of text itself. A row's digests are those of its columns, each
    after a comma. A checksum is the number that the last 60 bits of such a text's MD5 are; a
    bucket is the remainder of the checksum of the key's digests.
    """

    @abstractmethod
    def digests(self, schema: str, table: str, columns: pa.Schema) -> Mapping[str, bool]:
        """Which columns are there, and whether each can be digested.

        Raises ObjectNotFound where there is no table.
        """

    @abstractmethod
    def checksums(self, rows: Compared) -> Generator[pa.RecordBatch]:
        """Bucket, count, and sum of the checksums of the digests (as text); a bucket may come
        more than once. To be closed."""

    @abstractmethod
    def digested(
        self, rows: Compared, buckets: Sequence[int] | None = None
    ) -> Generator[pa.RecordBatch]:
        """The rows of these buckets, or of all: bucket, digests, then the values of the key and
        of the columns that are carried. To be closed."""
