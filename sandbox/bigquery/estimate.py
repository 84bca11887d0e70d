"""How many bytes a statement reads, counted by column before it runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from sandbox.bigquery.resolve import PASSING, Resolved
from sandbox.bigquery.sizes import Ref, Sizes
from sandbox.bigquery.statements import Kind

_MIB = 1024 * 1024
_LEAST_BILLED = 10 * _MIB


@dataclass(frozen=True)
class Estimate:
    """Bytes by table. `tables` is None where they cannot be told; that is never the same as 0.

    `accuracy` has BigQuery's words: PRECISE, UPPER_BOUND, UNKNOWN.
    """

    tables: Mapping[Ref, int] | None
    accuracy: str
    metadata: bool = False

    @property
    def bytes_processed(self) -> int | None:
        if self.tables is None:
            return None
        # Google bills a query of INFORMATION_SCHEMA the minimum and reports it as processed.
        return sum(self.tables.values()) + (_LEAST_BILLED if self.metadata else 0)

    @property
    def bytes_billed(self) -> int | None:
        """Each table is rounded up to a MiB and costs at least 10; one that is not read is free."""
        if self.tables is None:
            return None
        billed = sum(_rounded(size) for size in self.tables.values() if size)
        return billed + (_LEAST_BILLED if self.metadata else 0)


UNKNOWN = Estimate(None, "UNKNOWN")


def estimate(resolved: Resolved, sizes: Sizes) -> Estimate:
    """Estimate a resolved statement; UNKNOWN when its columns or tables cannot be told."""
    statement = resolved.statement
    metadata = bool(resolved.metadata_views)
    if statement.kind is Kind.SCRIPT or resolved.cannot_be_priced:
        return UNKNOWN
    if statement.kind is Kind.WRITE and not isinstance(statement.tree, _READS_ITS_SOURCE):
        return _of_a_write(resolved, sizes)
    columns = _columns_read(resolved) if resolved.stored else {}
    if columns is None:
        return UNKNOWN
    read = {one: names for ref, names in columns.items() for one in resolved.matches(ref)}
    found = sizes.of(read)
    if set(found) != set(read):
        return UNKNOWN
    tables = {ref: _sum(found[ref].columns, names) for ref, names in read.items()}
    # Nothing is skipped here, where BigQuery may read less.
    return Estimate(tables, "UPPER_BOUND" if resolved.may_skip else "PRECISE", metadata)


_READS_ITS_SOURCE = (exp.Insert, exp.Create)
_READS_ITS_TARGET = (exp.Update, exp.Delete, exp.Merge)


def _of_a_write(resolved: Resolved, sizes: Sizes) -> Estimate:
    """UPDATE, DELETE and MERGE read their whole target; DDL reads nothing."""
    if not isinstance(resolved.statement.tree, _READS_ITS_TARGET):
        return Estimate({}, "PRECISE")
    refs = resolved.refs
    found = sizes.of(refs)
    if set(found) != set(refs):
        return UNKNOWN
    return Estimate({ref: size.bytes for ref, size in found.items()}, "UPPER_BOUND")


def _columns_read(resolved: Resolved) -> dict[Ref, set[str]] | None:
    tree = resolved.readable_tree()
    if tree is None:
        return {}
    try:
        qualified = qualify(
            tree,
            dialect="bigquery",
            schema=_schema(resolved),
            validate_qualify_columns=True,
            quote_identifiers=False,
        )
        # A column that an inner select offers and nobody takes is not read.
        scopes = traverse_scope(pushdown_projections(qualified))
    except SqlglotError:
        return None
    columns: dict[Ref, set[str]] = {}
    for scope in scopes:
        stored = {alias: _ref(source) for alias, source in scope.sources.items()}
        for ref in stored.values():
            if ref is not None:
                columns.setdefault(ref, set())
        for column in scope.columns:
            ref = stored.get(column.table)
            if ref is not None:
                columns[ref].add(column.name.lower())
    return columns


def _schema(resolved: Resolved) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for (project, dataset, table), columns in resolved.columns().items():
        schema.setdefault(project, {}).setdefault(dataset, {})[table] = columns
    return schema


def _ref(source: object) -> Ref | None:
    if not isinstance(source, exp.Table) or not source.db or source.catalog == PASSING:
        return None
    return source.catalog, source.db, source.name


def _sum(sizes: Mapping[str, int], names: Iterable[str]) -> int:
    by_name = {name.lower(): size for name, size in sizes.items()}
    return sum(by_name.get(name, 0) for name in names)


def _rounded(size: int) -> int:
    return max(_LEAST_BILLED, -(-size // _MIB) * _MIB)
