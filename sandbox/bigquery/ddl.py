"""What DDL says about a table and bqemulator drops: keys, clustering, descriptions, exact types."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
from bqemulator.catalog.models import Clustering, TableFieldSchema, TableSchema, TimePartitioning
from bqemulator.storage.sql_identifiers import schema_name
from sqlglot import exp

from sandbox.bigquery.arrow_types import Field, rest_field
from sandbox.bigquery.emulator import Emulator
from sandbox.bigquery.errors import not_offered
from sandbox.bigquery.sizes import Ref
from sandbox.bigquery.statements import TableName

_UNITS = ("HOUR", "DAY", "MONTH", "YEAR")


@dataclass
class TableFacts:
    """What one CREATE TABLE or ALTER TABLE says besides names and types."""

    ref: Ref
    is_new: bool
    primary_key: tuple[str, ...] = ()
    clustering: tuple[str, ...] = ()
    partitioning: TimePartitioning | None = None
    descriptions: dict[str, str] = field(default_factory=dict)
    has_keys: bool = False


class Tables:
    """Keeps the catalog in step with DDL; knows the primary keys, which are not enforced."""

    def __init__(self, emulator: Emulator) -> None:
        self._engine = emulator.engine
        self._catalog = emulator.catalog
        self._keys: dict[Ref, tuple[datetime, tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    def primary_key(self, ref: Ref) -> tuple[str, ...]:
        """Return the columns of a table's key, none when it has no key."""
        meta = self._catalog.get_table(*ref)
        with self._lock:
            created, key = self._keys.get(ref, (None, ()))
        # A table of the same name may have been made since.
        return key if meta is not None and meta.creation_time == created else ()

    def record(self, facts: Iterable[TableFacts]) -> None:
        """Bring the catalog up to date after the statements that `facts` are from have run."""
        for one in facts:
            meta = self._catalog.get_table(*one.ref)
            if meta is not None:
                self._record(one, meta)

    def _record(self, facts: TableFacts, meta: Any) -> None:
        known = {} if facts.is_new else {one.name: one.description for one in meta.schema_.fields}
        descriptions = known | facts.descriptions
        changes: dict[str, Any] = {"schema_": self._schema(facts.ref, descriptions)}
        if facts.is_new:
            changes["clustering"] = (
                Clustering(fields=facts.clustering) if facts.clustering else None
            )
            changes["time_partitioning"] = facts.partitioning
        self._catalog.update_table(meta.model_copy(update=changes))
        if facts.primary_key:
            with self._lock:
                self._keys[facts.ref] = (meta.creation_time, facts.primary_key)

    def _schema(self, ref: Ref, descriptions: Mapping[str, str | None]) -> TableSchema:
        project, dataset, table = ref
        rows = self._engine.execute(
            "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
            "WHERE schema_name = ? AND table_name = ? ORDER BY column_index",
            [schema_name(project, dataset), table],
        ).fetchall()
        return TableSchema(
            fields=tuple(
                _field(
                    rest_field(name, duckdb.sqltype(kind)), bool(nullable), descriptions.get(name)
                )
                for name, kind, nullable in rows
            )
        )


def take_facts(trees: Iterable[exp.Expr], names: Iterable[TableName]) -> Iterator[TableFacts]:
    """Yield what DDL says of tables, and take out of it what DuckDB would refuse or enforce."""
    by_node = {id(name.node): name for name in names}
    for tree in trees:
        if not isinstance(tree, (exp.Create, exp.Alter)) or tree.args.get("kind") != "TABLE":
            continue
        target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        name = by_node.get(id(target))
        if name is not None:
            facts = TableFacts(
                (name.project, name.dataset, name.table), isinstance(tree, exp.Create)
            )
            _read_columns(tree, facts)
            _read_properties(tree, facts)
            yield facts


def _read_columns(tree: exp.Expr, facts: TableFacts) -> None:
    for column in tree.find_all(exp.ColumnDef):
        for constraint in list(column.find_all(exp.ColumnConstraint)):
            if isinstance(constraint.kind, exp.PrimaryKeyColumnConstraint):
                facts.primary_key, facts.has_keys = (column.name,), True
                constraint.pop()
            elif isinstance(constraint.kind, exp.Properties):
                description = _option(constraint.kind, "description")
                facts.descriptions |= {column.name: description} if description else {}
    for key in list(tree.find_all(exp.PrimaryKey, exp.ForeignKey)):
        if isinstance(key.parent, exp.AddConstraint):
            raise not_offered("a key is declared in CREATE TABLE only.")
        if isinstance(key, exp.PrimaryKey):
            facts.primary_key = tuple(part.name for part in key.expressions)
        facts.has_keys = True
        key.pop()


def _read_properties(tree: exp.Expr, facts: TableFacts) -> None:
    if any(isinstance(one, exp.AlterRename) for one in tree.args.get("actions") or ()):
        raise not_offered("a table cannot be renamed; use CREATE TABLE ... AS SELECT.")
    cluster, partition = tree.find(exp.ClusterProperty), tree.find(exp.PartitionedByProperty)
    if cluster is not None:
        facts.clustering = tuple(one.name for one in cluster.expressions)
    if partition is not None and not isinstance(partition.this, exp.RangeBucket):
        unit = partition.this.args.get("unit")
        name = unit.name.upper() if unit is not None and unit.name.upper() in _UNITS else "DAY"
        column = partition.this.find(exp.Column, exp.Identifier)
        facts.partitioning = TimePartitioning(type=name, field=column.name if column else None)


def _option(properties: exp.Properties, name: str) -> str | None:
    for one in properties.expressions:
        if one.name.lower() == name:
            return str(one.args["value"].name)
    return None


def _field(found: Field, nullable: bool, description: str | None) -> TableFieldSchema:
    mode = found["mode"] if nullable or found["mode"] == "REPEATED" else "REQUIRED"
    element = found.get("rangeElementType")
    return TableFieldSchema(
        name=found["name"],
        type=found["type"],
        mode=mode,
        description=description,
        fields=tuple(_field(child, True, None) for child in found.get("fields", ())),
        range_element_type=(
            TableFieldSchema(name="element", type=element["type"]) if element else None
        ),
    )
