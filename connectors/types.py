"""Values that cross the border of a connector: plain, frozen, free of any driver."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pyarrow as pa

MAX_TABLES = 10_000
"""The most tables that one listing holds; the rest is for the next page."""
BARE_NAME = re.compile(r"[a-z_][a-z0-9_$]*")

Params = Sequence[object] | Mapping[str, object]


class Basis(StrEnum):
    """How far a price can be trusted."""

    EXACT = "exact"
    UPPER_BOUND = "upper_bound"
    ROUGH = "rough"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Capabilities:
    """Facts about a provider that callers may rely on."""

    dialect: str
    """Of its queries; empty where it runs none."""
    folds_to: str
    """What the warehouse does to a bare identifier: ``upper``, ``lower`` or ``keep``."""
    cost_basis: Basis
    """The best basis an estimate of this provider can have."""
    limits_time: bool
    """The server itself ends a query at ``timeout_s``."""
    limits_bytes_scanned: bool
    """The server itself refuses a query above ``max_bytes_scanned``."""
    read_only_session: bool
    """The server itself refuses writes in our session."""
    refused_functions: frozenset[str] = frozenset()
    """Functions that read outside the warehouse or change its state, lower case, with ``*`` for
    any characters; one with a dot is a qualified name."""
    refused_tables: frozenset[str] = frozenset()
    """System tables that hold secrets or the server's own files, likewise; in any schema."""

    def fold(self, name: str) -> str:
        """A name as people type it bare in this warehouse; other names stay as they are."""
        if not BARE_NAME.fullmatch(name) or self.folds_to == "keep":
            return name
        return name.upper() if self.folds_to == "upper" else name.lower()


@dataclass(frozen=True)
class Limits:
    """Bounds of one query. ``None`` is no bound; time always has one."""

    timeout_s: float = 300.0
    max_rows: int | None = None
    max_bytes_returned: int | None = None
    max_bytes_scanned: int | None = None


@dataclass(frozen=True)
class JobContext:
    """Whom statements are run for; goes into labels, QUERY_TAG or application_name."""

    service: str = "warehouse"
    team: str = ""
    run: str = ""

    def tags(self, run_id: str = "") -> dict[str, str]:
        """The parts that are set; a query's own id goes before the session's."""
        parts = {"service": self.service, "team": self.team, "run": run_id or self.run}
        return {name: value for name, value in parts.items() if value}


@dataclass(frozen=True)
class Column:
    """One column as the warehouse's metadata describes it."""

    name: str
    native_type: str
    nullable: bool | None
    position: int
    arrow_type: pa.DataType | None = None
    """As a query's result has it; ``None`` where nothing but the result can tell."""
    comment: str | None = None


@dataclass(frozen=True)
class Table:
    """One table or view. ``None`` is unknown, 0 is empty."""

    catalog: str | None
    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    row_count: int | None = None
    size_bytes: int | None = None
    comment: str | None = None


@dataclass(frozen=True)
class TableFilter:
    """Which tables to list: at most ``limit`` of them, by schema and name as bytes compare."""

    schema: str | None
    search: str | None
    """A part of the table's name, in any case; no pattern."""
    after: tuple[str, str] | None
    """Only tables that come after this schema and name."""
    limit: int

    def __contains__(self, table: tuple[str, str]) -> bool:
        """A (schema, name) that this asks for, for where the warehouse cannot filter itself."""
        schema, name = table
        return (
            self.schema in (None, schema)
            and (self.search or "").casefold() in name.casefold()
            and (self.after is None or table > self.after)
        )


@dataclass(frozen=True)
class Estimate:
    """What a query would read and cost. ``None`` is unknown, never free."""

    bytes_scanned: int | None
    rows: int | None
    cost_low: Decimal | None
    cost_high: Decimal | None
    currency: str
    basis: Basis
    explanation: str


@dataclass(frozen=True)
class Step:
    """One step of a check. One that is ``ok`` and has a ``code`` is a warning."""

    name: str
    ok: bool
    ms: float
    detail: str = ""
    code: str = ""
    hint: str = ""

    @property
    def warning(self) -> bool:
        return self.ok and bool(self.code)


@dataclass(frozen=True)
class CheckReport:
    """The steps of a check in order; it stops at the first that fails."""

    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.ok for step in self.steps)

    @property
    def failure(self) -> Step | None:
        return next((step for step in self.steps if not step.ok), None)


@dataclass(frozen=True)
class RunStats:
    """What a finished query used. ``None`` where the warehouse does not say.

    ``amount_billed`` is in ``currency``; nothing is billed in none.
    """

    vendor_query_id: str | None = None
    bytes_scanned: int | None = None
    bytes_billed: int | None = None
    amount_billed: Decimal | None = None
    currency: str = ""


class LoadMode(StrEnum):
    """What a load does with the rows that the target has.

    ``merge`` updates those with the same primary key, ``append`` leaves them all, ``swap`` puts
    the manifest's rows in place of all of them.
    """

    MERGE = "merge"
    APPEND = "append"
    SWAP = "swap"


class Contract(StrEnum):
    """What happens when source and target have different columns; ``connectors.drift`` tells."""

    EVOLVE = "evolve"
    FREEZE = "freeze"
    QUARANTINE = "quarantine"


@dataclass(frozen=True)
class StagedFile:
    """One Parquet object of a manifest.

    ``order`` grows with the snapshot that its rows were read in: of two files with the same key,
    the one of the greater order has the newer row.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    order: int = 0


@dataclass(frozen=True)
class Manifest:
    """Exactly the files of one load, which all lie in ``location`` (a folder of the stage).

    ``deletes`` are files that have the key columns alone: those rows leave the target, but for a
    key that ``files`` has in the same or a greater order. ``keys``, where it is not ``None``, are
    files that have the keys of all the rows there are: no row of another key stays in the target.
    """

    load_id: str
    location: str
    files: tuple[StagedFile, ...]
    schema: pa.Schema
    primary_key: tuple[str, ...]
    deletes: tuple[StagedFile, ...] = ()
    keys: tuple[StagedFile, ...] | None = None

    @property
    def rows(self) -> int:
        """Rows of ``files``; a key in several orders counts once for each."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class LoadTarget:
    """Where a manifest goes, and the stage: how the warehouse reaches the manifest's files.

    ``fence`` grows with every claim of the work: a load is refused once a greater one has been.
    Of its rows, at most ``delete_limit_percent`` may leave because a manifest's ``keys`` have not
    theirs. Rows that are appended come after the load that ``follows`` names, and no other.
    """

    schema: str
    table: str
    stage: str
    fence: int
    mode: LoadMode = LoadMode.MERGE
    contract: Contract = Contract.EVOLVE
    delete_limit_percent: int = 10
    follows: str | None = None


@dataclass(frozen=True)
class Cost:
    """What was charged, at least and at most."""

    low: Decimal
    high: Decimal
    currency: str
    basis: Basis

    def as_json(self) -> dict[str, str]:
        return {**vars(self), "low": format(self.low, "f"), "high": format(self.high, "f")}


@dataclass(frozen=True)
class LoadOutcome:
    """What a load did. ``already_loaded``: the ledger had it, nothing was changed."""

    rows_in_target: int
    already_loaded: bool = False


@dataclass(frozen=True)
class Watermark:
    """How far a source table has been read: the snapshot, and what it is a snapshot of.

    ``origin`` names cluster, timeline, database, table and partitions; where it differs, the
    snapshot says nothing about the rows and everything is read.

    Of a table whose rows are read once each, ``rows`` is how many have been, and ``seen`` has the
    transactions (their ids, comma-separated) whose rows the snapshot alone would not tell from
    those of others that were in flight. Of one that is read by a cursor, the snapshot is that of
    the last sweep, at ``swept_at``, and ``cursor`` where the next reading starts, empty where
    nobody can tell.
    """

    snapshot: str
    origin: str
    seen: str = ""
    rows: int | None = None
    cursor: str = ""
    swept_at: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, of which ``Watermark(**…)`` makes the same again."""
        return {name: value for name, value in vars(self).items() if value not in ("", None)}
