"""Is the target the source? Checksums on both sides, and where they differ, the keys that do."""

import hashlib
import json
import math
import struct
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import pyarrow as pa

from connectors.abilities import Compare, Compared, ReadPlan
from connectors.base import Connector
from connectors.checksums import is_json
from connectors.errors import Unsupported
from etl import conf, ends
from etl.models import Pipeline, PipelineTable, QuarantinedValue, Step
from warehouse import connections

VALUES_PER_BUCKET = 50_000
"""What differs is looked for among so many values at least."""
MAX_BUCKETS = 100_000
BUCKETS_UNKNOWN = 1_000
"""Where the source cannot say how many rows there are."""
VALUES_AT_ONCE = 1_000_000
"""Of how many values digests are held in memory, at about 40 bytes."""
CHECKSUM_MASK = 2**60 - 1
NULL = "-"

Key = tuple[Any, ...]
Batches = Generator[pa.RecordBatch]


class Kind(StrEnum):
    """What is wrong with a row of the target; nothing is with one that is in quarantine."""

    MISSING = "missing"
    SURPLUS = "surplus"
    DIFFERENT = "different"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Finding:
    """A row by its key, each part as text, and the columns that differ where both have it."""

    kind: Kind
    key: dict[str, str]
    columns: tuple[str, ...] = ()


@dataclass
class Verdict:
    """One table. ``differing`` counts the buckets whose checksums are not the same, of those that
    have rows. ``is_cut``: more keys differ than ``findings`` has. ``not_compared`` are columns
    that the target does not have."""

    table: PipelineTable
    rows_in_source: int = 0
    rows_in_target: int = 0
    buckets: int = 0
    differing: int = 0
    has_key: bool = True
    is_cut: bool = False
    not_compared: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    quarantined: int = 0

    @property
    def is_same(self) -> bool:
        """The target has the source's rows, but for values in quarantine."""
        if self.has_key:
            return not (self.findings or self.is_cut)
        return not self.differing


class _Sum(NamedTuple):
    rows: int = 0
    checksum: int = 0


def tables(pipeline: Pipeline, max_keys: int) -> Iterator[Verdict]:
    """Compare each table as it is now; at most ``max_keys`` keys that differ are told of each.

    The source is read in one snapshot and no row is changed anywhere. In memory are checksums of
    buckets, and of the rows of a few buckets at a time. Raises Unsupported, and what connectors
    raise.
    """
    if pipeline.destination is None:
        raise Unsupported("What the store holds cannot be compared with its source.")
    with connections.opened(pipeline.destination, run="verify") as destination:
        for table in pipeline.tables.select_related("pipeline__source"):
            with connections.opened(pipeline.source, run="verify") as source:
                yield _compared(table, source, destination, max_keys)


def _compared(
    table: PipelineTable, source: Connector, destination: Connector, max_keys: int
) -> Verdict:
    both = _comparable(source), _comparable(destination)
    reader = ends.source(source)
    plan = reader.plan(table.source_schema, table.source_table, None, conf.chunk_bytes())
    try:
        return _Comparison(table, plan, *both).verdict(max_keys)
    finally:
        reader.release()


def _comparable(end: Connector) -> Compare:
    if not isinstance(end, Compare):
        raise Unsupported(f"{end.label} cannot be compared.")
    return end


class _Comparison:
    """One table, in the snapshot of a plan."""

    def __init__(
        self, table: PipelineTable, plan: ReadPlan, source: Compare, destination: Compare
    ) -> None:
        target = (table.pipeline.destination_schema, table.destination_table)
        here = source.digests(plan.source_schema, plan.source_table, plan.columns)
        there = destination.digests(*target, plan.columns)
        both = [name for name in plan.columns.names if name in there]
        digested = tuple(name for name in both if here[name] and there[name])
        key = plan.primary_key if set(plan.primary_key) <= set(digested) else ()
        common: dict[str, Any] = {
            "columns": plan.columns,
            "key": key,
            "digested": digested,
            "carried": tuple(name for name in both if name not in digested),
            "buckets": _buckets(plan, len(both)),
        }
        self._table = table
        self._source, self._destination = source, destination
        self._here = Compared(plan.source_schema, plan.source_table, **common, plan=plan)
        self._there = Compared(*target, **common)

    def verdict(self, max_keys: int) -> Verdict:
        here = _sums(self._source, self._here)
        there = _sums(self._destination, self._there)
        used = here.keys() | there.keys()
        differing = [n for n in sorted(used) if here.get(n) != there.get(n)]
        found = Verdict(
            table=self._table,
            rows_in_source=sum(one.rows for one in here.values()),
            rows_in_target=sum(one.rows for one in there.values()),
            buckets=len(used),
            differing=len(differing),
            has_key=bool(self._here.key),
            not_compared=tuple(
                name for name in self._here.columns.names if name not in self._names
            ),
        )
        if found.has_key:
            sizes = [max(here.get(n, _Sum()).rows, there.get(n, _Sum()).rows) for n in differing]
            self._look_into(found, _groups(differing, sizes, len(self._names)), max_keys)
        return found

    @property
    def _names(self) -> tuple[str, ...]:
        return self._here.digested + self._here.carried

    def _look_into(self, found: Verdict, groups: Iterable[Sequence[int]], max_keys: int) -> None:
        """Write down the keys that differ, until there are enough of them."""
        for buckets in groups:
            for finding in self._findings(buckets):
                if finding.kind is Kind.QUARANTINED:
                    found.quarantined += 1
                elif len(found.findings) == max_keys:
                    found.is_cut = True
                    return
                else:
                    found.findings.append(finding)

    def _findings(self, buckets: Sequence[int]) -> list[Finding]:
        here = dict(_rows(self._source, self._here, buckets))
        surplus, different = [], []
        for key, digests in _rows(self._destination, self._there, buckets):
            known = here.pop(key, None)
            if known is None:
                surplus.append(self._finding(Kind.SURPLUS, key))
            elif known != digests:
                different.append((key, known, digests))
        missing = [self._finding(Kind.MISSING, key) for key in here]
        return [*missing, *surplus, *self._explained(different)]

    def _explained(self, different: Sequence[tuple[Key, str, str]]) -> Iterator[Finding]:
        """Which columns differ, and whether that is because of what is in quarantine."""
        ours = [self._finding(Kind.DIFFERENT, key) for key, _, _ in different]
        taken = _quarantined(self._table, ours)
        for finding, (_, here, there) in zip(ours, different, strict=True):
            parts = zip(self._names, _split(here), _split(there), strict=True)
            changed = [(name, there) for name, here, there in parts if here != there]
            key = _frozen(finding.key)
            declared = all(text == NULL and (key, name) in taken for name, text in changed)
            kind = Kind.QUARANTINED if declared else Kind.DIFFERENT
            yield Finding(kind, finding.key, tuple(name for name, _ in changed))

    def _finding(self, kind: Kind, key: Key) -> Finding:
        texts = ("\\x" + part.hex() if isinstance(part, bytes) else str(part) for part in key)
        return Finding(kind, dict(zip(self._here.key, texts, strict=True)))


def _buckets(plan: ReadPlan, columns: int) -> int:
    if plan.estimated_rows is None:
        return BUCKETS_UNKNOWN
    return min(1 + plan.estimated_rows * columns // VALUES_PER_BUCKET, MAX_BUCKETS)


def _groups(buckets: Sequence[int], sizes: Sequence[int], columns: int) -> Iterator[Sequence[int]]:
    """Buckets that are looked into together, so that their rows fit into memory."""
    group: list[int] = []
    values = 0
    for bucket, rows in zip(buckets, sizes, strict=True):
        if group and values + rows * columns > VALUES_AT_ONCE:
            yield group
            group, values = [], 0
        group.append(bucket)
        values += rows * columns
    if group:
        yield group


def _sums(end: Compare, rows: Compared) -> dict[int, _Sum]:
    """Count and checksum of each bucket that has rows."""
    sums: dict[int, _Sum] = defaultdict(_Sum)
    for bucket, count, checksum in _checksums(end, rows):
        known = sums[bucket]
        sums[bucket] = _Sum(known.rows + count, known.checksum + checksum)
    return dict(sums)


def _checksums(end: Compare, rows: Compared) -> Iterator[tuple[int, int, int]]:
    """From the system itself, unless values have to be looked at here."""
    if not rows.carried:
        with closing(end.checksums(rows)) as batches:
            for bucket, count, checksum in _tuples(batches):
                yield int(bucket), int(count), int(checksum)
        return
    with closing(end.digested(rows)) as batches:
        for bucket, digests, *values in _tuples(batches):
            text = _with_carried(rows, digests, values[len(rows.key) :])
            number = int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest())
            yield int(bucket), 1, number & CHECKSUM_MASK


def _rows(end: Compare, rows: Compared, buckets: Sequence[int]) -> Iterator[tuple[Key, str]]:
    """Keys and digests of the rows in these buckets."""
    with closing(end.digested(rows, buckets)) as batches:
        for _, digests, *values in _tuples(batches):
            key, carried = values[: len(rows.key)], values[len(rows.key) :]
            yield tuple(key), _with_carried(rows, digests, carried)


def _tuples(batches: Batches) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _with_carried(rows: Compared, digests: str, values: Sequence[Any]) -> str:
    """The row's digests, with those of what was carried here."""
    fields = (rows.columns.field(name) for name in rows.carried)
    return ",".join([digests, *map(_digest, fields, values)])


def _split(digests: str) -> list[str]:
    return digests.split(",")[1:]


def _digest(column: pa.Field, value: Any) -> str:
    if value is None:
        return NULL
    text = _json(value) if is_json(column) else _text(value)
    return hashlib.md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def _text(value: Any) -> str:
    """The same for equal values, whatever type they are carried as; a double by its bits."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else struct.pack(">d", value).hex()
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _number(str(value))
    return str(value)


def _json(text: str) -> str:
    """The same for documents that differ in blanks, in the order of keys, or in how a number is
    written; what cannot be parsed stays as it is."""
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number)
        return json.dumps(value, sort_keys=True)
    except (ValueError, RecursionError):
        return text


def _number(text: str) -> str:
    """Sign, digits and power of ten, without a string's look: NUL begins no text of JSON's."""
    sign, digits, exponent = Decimal(text).as_tuple()
    if not isinstance(exponent, int):
        return text
    written = "".join(map(str, digits)).lstrip("0")
    kept = written.rstrip("0")
    if not kept:
        return "\0" + "0"
    return f"\0{'-' if sign else ''}{kept}e{exponent + len(written) - len(kept)}"


def _frozen(key: dict[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(key.items())


def _quarantined(
    table: PipelineTable, findings: Sequence[Finding]
) -> set[tuple[frozenset[tuple[str, str]], str]]:
    """Of these rows, by key and column, the values that a run has loaded as NULL."""
    keys = [finding.key for finding in findings]
    kept = QuarantinedValue.objects.filter(
        table_run__table=table, table_run__step=Step.DONE, key__in=keys
    )
    return {(_frozen(key), column) for key, column in kept.values_list("key", "column")}
