"""The columns of the INFORMATION_SCHEMA views: the part of Google's that can be filled."""

from typing import Any

import pyarrow as pa

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_TEXT, _INT = pa.string(), pa.int64()
_OF_A_TABLE = {"table_catalog": _TEXT, "table_schema": _TEXT, "table_name": _TEXT}
_OF_A_CONSTRAINT = {
    "constraint_catalog": _TEXT,
    "constraint_schema": _TEXT,
    "constraint_name": _TEXT,
}

# The older way to ask for rows and bytes: `dataset.__TABLES__`.
TABLES_META = "__TABLES__"
ONLY_BY_REGION = frozenset(
    {"JOBS", "JOBS_BY_PROJECT", "JOBS_BY_USER", "TABLE_STORAGE", "TABLE_STORAGE_BY_PROJECT"}
)


def _schema(**columns: Any) -> pa.Schema:
    return pa.schema(list(columns.items()))


_JOBS = _schema(
    creation_time=_TIMESTAMP,
    project_id=_TEXT,
    user_email=_TEXT,
    job_id=_TEXT,
    job_type=_TEXT,
    statement_type=_TEXT,
    priority=_TEXT,
    start_time=_TIMESTAMP,
    end_time=_TIMESTAMP,
    query=_TEXT,
    state=_TEXT,
    total_bytes_processed=_INT,
    total_bytes_billed=_INT,
    cache_hit=pa.bool_(),
    error_result=pa.struct([("reason", _TEXT), ("location", _TEXT), ("message", _TEXT)]),
    labels=pa.list_(pa.struct([("key", _TEXT), ("value", _TEXT)])),
)
_STORAGE = _schema(
    project_id=_TEXT,
    **_OF_A_TABLE,
    creation_time=_TIMESTAMP,
    total_rows=_INT,
    total_logical_bytes=_INT,
    active_logical_bytes=_INT,
    deleted=pa.bool_(),
    table_type=_TEXT,
)
SCHEMAS = {
    "SCHEMATA": _schema(
        catalog_name=_TEXT,
        schema_name=_TEXT,
        schema_owner=_TEXT,
        creation_time=_TIMESTAMP,
        last_modified_time=_TIMESTAMP,
        location=_TEXT,
    ),
    "TABLES": _schema(
        **_OF_A_TABLE,
        table_type=_TEXT,
        is_insertable_into=_TEXT,
        is_typed=_TEXT,
        is_change_history_enabled=_TEXT,
        creation_time=_TIMESTAMP,
    ),
    "COLUMNS": _schema(
        **_OF_A_TABLE,
        column_name=_TEXT,
        ordinal_position=_INT,
        is_nullable=_TEXT,
        data_type=_TEXT,
        is_generated=_TEXT,
        is_hidden=_TEXT,
        is_system_defined=_TEXT,
        is_partitioning_column=_TEXT,
        clustering_ordinal_position=_INT,
    ),
    "COLUMN_FIELD_PATHS": _schema(
        **_OF_A_TABLE, column_name=_TEXT, field_path=_TEXT, data_type=_TEXT, description=_TEXT
    ),
    "VIEWS": _schema(
        **_OF_A_TABLE, view_definition=_TEXT, check_option=_TEXT, use_standard_sql=_TEXT
    ),
    "TABLE_OPTIONS": _schema(
        **_OF_A_TABLE, option_name=_TEXT, option_type=_TEXT, option_value=_TEXT
    ),
    "TABLE_CONSTRAINTS": _schema(
        **_OF_A_CONSTRAINT, **_OF_A_TABLE, constraint_type=_TEXT, enforced=_TEXT
    ),
    "KEY_COLUMN_USAGE": _schema(
        **_OF_A_CONSTRAINT,
        **_OF_A_TABLE,
        column_name=_TEXT,
        ordinal_position=_INT,
        position_in_unique_constraint=_INT,
    ),
    "TABLE_STORAGE": _STORAGE,
    "TABLE_STORAGE_BY_PROJECT": _STORAGE,
    "JOBS": _JOBS,
    "JOBS_BY_PROJECT": _JOBS,
    "JOBS_BY_USER": _JOBS,
    TABLES_META: _schema(
        project_id=_TEXT,
        dataset_id=_TEXT,
        table_id=_TEXT,
        creation_time=_INT,
        last_modified_time=_INT,
        row_count=_INT,
        size_bytes=_INT,
        type=_INT,
    ),
}
