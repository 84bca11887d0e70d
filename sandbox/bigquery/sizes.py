"""Rows and logical bytes of stored tables, by BigQuery's size of each data type.

Sizes: https://cloud.google.com/bigquery/pricing#data (a NULL takes no bytes).
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
from bqemulator.storage.sql_identifiers import quoted_table_ref, schema_name

from sandbox.bigquery.engine import Engine

Ref = tuple[str, str, str]

_FIXED = {
    "bigint": 8,
    "integer": 8,
    "smallint": 8,
    "tinyint": 8,
    "double": 8,
    "float": 8,
    "boolean": 1,
    "date": 8,
    "time": 8,
    "timestamp": 8,
    "timestamp with time zone": 8,
    "interval": 16,
}
_NUMERIC_BYTES = 16
_BIGNUMERIC_BYTES = 32
_NUMERIC_SCALE = 9
_TABLES_A_QUERY = 50


@dataclass(frozen=True)
class Size:
    """What one table holds; `columns` maps each column to its logical bytes."""

    rows: int
    columns: Mapping[str, int]

    @property
    def bytes(self) -> int:
        return sum(self.columns.values())


class Sizes:
    """Sizes measured on demand and remembered until something is written."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[Ref, Size] = {}
        self._lock = threading.Lock()
        self._writes = 0

    def of(self, refs: Iterable[Ref]) -> dict[Ref, Size]:
        """Measure stored tables, many in one statement; what is not stored is left out."""
        wanted = list(dict.fromkeys(refs))
        with self._lock:
            started = self._writes
            found = {ref: self._known[ref] for ref in wanted if ref in self._known}
        missing = [ref for ref in wanted if ref not in found]
        measured = self._measure(missing)
        with self._lock:
            # A write that came in between may or may not be in what was measured.
            if started == self._writes:
                self._known.update(measured)
        return found | measured

    def forget(self) -> None:
        """Drop what is known; to be called after every write."""
        with self._lock:
            self._writes += 1
            self._known.clear()

    def _measure(self, refs: list[Ref]) -> dict[Ref, Size]:
        columns, empty = self._columns(refs)
        measured = {ref: Size(0, dict.fromkeys(columns[ref], 0)) for ref in empty}
        for few in _batches([ref for ref in columns if ref not in empty]):
            measured |= self._measure_few({ref: columns[ref] for ref in few})
        return measured

    def _measure_few(self, columns: Mapping[Ref, Mapping[str, str]]) -> dict[Ref, Size]:
        statement = " UNION ALL ".join(
            _measuring(number, ref, columns[ref]) for number, ref in enumerate(columns)
        )
        refs = list(columns)
        sizes = {}
        for number, rows, found in self._engine.execute(statement).fetchall():
            ref = refs[number]
            sizes[ref] = Size(rows, dict(zip(columns[ref], map(int, found), strict=True)))
        return sizes

    def _columns(self, refs: list[Ref]) -> tuple[dict[Ref, dict[str, str]], set[Ref]]:
        """Return column name → DuckDB type for each stored table, and which never had a row."""
        schemas = {
            schema_name(project, dataset): (project, dataset) for project, dataset, _ in refs
        }
        if not schemas:
            return {}, set()
        rows = self._engine.execute(
            "SELECT c.schema_name, c.table_name, c.column_name, c.data_type, t.estimated_size "
            "FROM duckdb_columns() c JOIN duckdb_tables() t USING (table_oid) "
            f"WHERE c.schema_name IN ({', '.join('?' * len(schemas))}) "
            "ORDER BY c.table_oid, c.column_index",
            list(schemas),
        ).fetchall()
        wanted = set(refs)
        found: dict[Ref, dict[str, str]] = {}
        empty: set[Ref] = set()
        for schema, table, column, kind, size in rows:
            ref = (*schemas[schema], table)
            if ref in wanted:
                found.setdefault(ref, {})[column] = kind
                # An estimate that counts deleted rows too; only its zero is exact.
                if size == 0:
                    empty.add(ref)
        return found, empty


def _measuring(number: int, ref: Ref, columns: Mapping[str, str]) -> str:
    sums = ", ".join(
        f"coalesce(sum({_bytes(_identifier(name), duckdb.sqltype(kind))}), 0)::HUGEINT"
        for name, kind in columns.items()
    )
    return f"SELECT {number}, count(*), [{sums}] FROM {quoted_table_ref(*ref)}"


def _bytes(value: str, kind: Any) -> str:
    """Return the DuckDB expression for the bytes of one value; a NULL counts 0."""
    if kind.id == "list":
        child = dict(kind.children)["child"]
        each = f"list_transform({value}, lambda one: {_bytes('one', child)})"
        return f"coalesce(list_sum({each}), 0)"
    if kind.id == "struct":
        fields = (_bytes(f"{value}.{_identifier(name)}", child) for name, child in kind.children)
        return "(" + " + ".join(fields) + ")"
    return f"(CASE WHEN {value} IS NULL THEN 0 ELSE {_scalar_bytes(value, kind)} END)"


def _scalar_bytes(value: str, kind: Any) -> str:
    if kind.id == "decimal":
        is_big = dict(kind.children)["scale"] > _NUMERIC_SCALE
        return str(_BIGNUMERIC_BYTES if is_big else _NUMERIC_BYTES)
    if kind.id == "blob":
        return f"2 + octet_length({value})"
    if kind.id in _FIXED:
        return str(_FIXED[kind.id])
    return f"2 + strlen({value}::VARCHAR)"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _batches(refs: list[Ref]) -> Iterable[list[Ref]]:
    for start in range(0, len(refs), _TABLES_A_QUERY):
        yield refs[start : start + _TABLES_A_QUERY]
