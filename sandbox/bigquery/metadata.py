"""INFORMATION_SCHEMA as tables: built from the catalog in one pass, however many tables it has.

bqemulator writes the rows of these views into the text of the query, which 100,000 columns do not
survive; here they are Arrow tables that the query's connection sees.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from sandbox.bigquery.ddl import Tables
from sandbox.bigquery.emulator import Emulator
from sandbox.bigquery.errors import dataset_not_found, invalid, not_offered, table_denied
from sandbox.bigquery.fields import data_type, field_paths
from sandbox.bigquery.metadata_schemas import ONLY_BY_REGION, SCHEMAS, TABLES_META
from sandbox.bigquery.settings import LOCATION, Account
from sandbox.bigquery.sizes import Sizes

Row = dict[str, Any]

_TABLE_TYPES = {"TABLE": "BASE TABLE", "MATERIALIZED_VIEW": "MATERIALIZED VIEW"}
STORED = ("TABLE", "CLONE", "SNAPSHOT")


class Metadata:
    """The views of INFORMATION_SCHEMA over one emulator; `jobs` yields what JOBS shows."""

    def __init__(
        self,
        emulator: Emulator,
        tables: Tables,
        sizes: Sizes,
        jobs: Callable[[], Iterable[Row]],
    ) -> None:
        self._catalog = emulator.catalog
        self._keys = tables
        self._sizes = sizes
        self._jobs = jobs
        self._rows: dict[str, Callable[[list[Any]], Iterable[Row]]] = {
            "SCHEMATA": self._schemata,
            "TABLES": self._table_rows,
            "COLUMNS": self._columns,
            "COLUMN_FIELD_PATHS": self._field_paths,
            "VIEWS": self._views,
            "TABLE_OPTIONS": self._table_options,
            "TABLE_CONSTRAINTS": self._constraints,
            "KEY_COLUMN_USAGE": self._key_columns,
            "TABLE_STORAGE": self._storage,
            "TABLE_STORAGE_BY_PROJECT": self._storage,
            "JOBS": lambda _: self._jobs(),
            "JOBS_BY_PROJECT": lambda _: self._jobs(),
            TABLES_META: self._meta_tables,
        }

    def table(self, view: str, project: str, scope: str, account: Account) -> pa.Table:
        """Return one view for a dataset or, with a scope such as region-us, for the project."""
        schema = SCHEMAS.get(view)
        if schema is None:
            raise not_offered(f"INFORMATION_SCHEMA.{view} is not offered.")
        datasets = self._datasets(view, project, scope, account)
        if view == "JOBS_BY_USER":
            rows: Iterable[Row] = (
                row for row in self._jobs() if row["user_email"] == account.email
            )
        else:
            rows = self._rows[view](datasets)
        return pa.Table.from_pylist(list(rows), schema=schema)

    def visible_datasets(self, project: str, account: Account) -> list[Any]:
        """Return the datasets an account may see, by name."""
        datasets = [
            one
            for one in self._catalog.list_datasets(project)
            if one.dataset_id not in account.denied_datasets
        ]
        return sorted(datasets, key=lambda one: one.dataset_id)

    def tables_of(self, dataset: Any) -> list[Any]:
        """Return a dataset's tables and views, by name."""
        found = self._catalog.list_tables(dataset.project_id, dataset.dataset_id)
        return sorted(found, key=lambda one: one.table_id)

    def _datasets(self, view: str, project: str, scope: str, account: Account) -> list[Any]:
        region = f"region-{LOCATION.lower()}"
        if scope.lower() == region or (not scope and view == "SCHEMATA"):
            if account.by_dataset:
                raise table_denied(project, region, f"INFORMATION_SCHEMA.{view}")
            return self.visible_datasets(project, account)
        if not scope or view in ONLY_BY_REGION:
            level = "region" if view in ONLY_BY_REGION else "dataset"
            raise invalid(
                f"INFORMATION_SCHEMA.{view} must be qualified with a {level}, such as "
                f"`{region}`.INFORMATION_SCHEMA.{view}."
            )
        if scope in account.denied_datasets:
            raise table_denied(project, scope, f"INFORMATION_SCHEMA.{view}")
        dataset = self._catalog.get_dataset(project, scope)
        if dataset is None:
            raise dataset_not_found(project, scope)
        return [dataset]

    def _tables(self, datasets: list[Any]) -> Iterator[Any]:
        for dataset in datasets:
            yield from self.tables_of(dataset)

    def _schemata(self, datasets: list[Any]) -> Iterator[Row]:
        for one in datasets:
            yield {
                "catalog_name": one.project_id,
                "schema_name": one.dataset_id,
                "creation_time": one.creation_time,
                "last_modified_time": one.last_modified_time,
                "location": LOCATION,
            }

    def _table_rows(self, datasets: list[Any]) -> Iterator[Row]:
        for one in self._tables(datasets):
            kind = _TABLE_TYPES.get(one.table_type, one.table_type)
            yield _names(one) | {
                "table_type": kind,
                "is_insertable_into": "YES" if kind == "BASE TABLE" else "NO",
                "is_typed": "NO",
                "is_change_history_enabled": "NO",
                "creation_time": one.creation_time,
            }

    def _columns(self, datasets: list[Any]) -> Iterator[Row]:
        for one in self._tables(datasets):
            partition = getattr(one.time_partitioning or one.range_partitioning, "field", None)
            clustering = list(one.clustering.fields) if one.clustering else []
            for number, field in enumerate(one.schema_.fields, start=1):
                yield _names(one) | {
                    "column_name": field.name,
                    "ordinal_position": number,
                    "is_nullable": "NO" if field.mode == "REQUIRED" else "YES",
                    "data_type": data_type(field),
                    "is_generated": "NEVER",
                    "is_hidden": "NO",
                    "is_system_defined": "NO",
                    "is_partitioning_column": "YES" if field.name == partition else "NO",
                    "clustering_ordinal_position": _position(clustering, field.name),
                }

    def _field_paths(self, datasets: list[Any]) -> Iterator[Row]:
        for one in self._tables(datasets):
            for column in one.schema_.fields:
                for path, field in field_paths(column):
                    yield _names(one) | {
                        "column_name": column.name,
                        "field_path": path,
                        "data_type": data_type(field),
                        "description": field.description,
                    }

    def _views(self, datasets: list[Any]) -> Iterator[Row]:
        for one in self._tables(datasets):
            if one.table_type == "VIEW":
                yield _names(one) | {"view_definition": one.view_query, "use_standard_sql": "YES"}

    def _table_options(self, datasets: list[Any]) -> Iterator[Row]:
        for one in self._tables(datasets):
            if one.description:
                yield _names(one) | {
                    "option_name": "description",
                    "option_type": "STRING",
                    # JSON's escapes are among those of a SQL literal.
                    "option_value": json.dumps(one.description, ensure_ascii=False),
                }

    def _constraints(self, datasets: list[Any]) -> Iterator[Row]:
        for one in self._tables(datasets):
            if self._keys.primary_key(_ref(one)):
                kind = {"constraint_type": "PRIMARY KEY", "enforced": "NO"}
                yield _constraint(one) | _names(one) | kind

    def _key_columns(self, datasets: list[Any]) -> Iterator[Row]:
        for one in self._tables(datasets):
            for number, column in enumerate(self._keys.primary_key(_ref(one)), start=1):
                place = {"column_name": column, "ordinal_position": number}
                yield _constraint(one) | _names(one) | place

    def _storage(self, datasets: list[Any]) -> Iterator[Row]:
        stored = [one for one in self._tables(datasets) if one.table_type in STORED]
        sizes = self._sizes.of(_ref(one) for one in stored)
        for one in stored:
            size = sizes.get(_ref(one))
            if size is None:
                # Dropped in the meantime.
                continue
            yield _names(one) | {
                "project_id": one.project_id,
                "creation_time": one.creation_time,
                "total_rows": size.rows,
                "total_logical_bytes": size.bytes,
                "active_logical_bytes": size.bytes,
                "deleted": False,
                "table_type": _TABLE_TYPES.get(one.table_type, one.table_type),
            }

    def _meta_tables(self, datasets: list[Any]) -> Iterator[Row]:
        tables = list(self._tables(datasets))
        sizes = self._sizes.of(_ref(one) for one in tables if one.table_type in STORED)
        for one in tables:
            size = sizes.get(_ref(one))
            yield {
                "project_id": one.project_id,
                "dataset_id": one.dataset_id,
                "table_id": one.table_id,
                "creation_time": int(one.creation_time.timestamp() * 1000),
                "last_modified_time": int(one.last_modified_time.timestamp() * 1000),
                "row_count": size.rows if size else None,
                "size_bytes": size.bytes if size else None,
                "type": 1 if size else 2,
            }


def _names(table: Any) -> Row:
    return {
        "table_catalog": table.project_id,
        "table_schema": table.dataset_id,
        "table_name": table.table_id,
    }


def _constraint(table: Any) -> Row:
    return {
        "constraint_catalog": table.project_id,
        "constraint_schema": table.dataset_id,
        "constraint_name": f"{table.table_id}.pk$",
    }


def _ref(table: Any) -> tuple[str, str, str]:
    return table.project_id, table.dataset_id, table.table_id


def _position(names: list[str], name: str) -> int | None:
    return names.index(name) + 1 if name in names else None
