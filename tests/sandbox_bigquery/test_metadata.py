"""Datasets, tables and columns, over REST and INFORMATION_SCHEMA."""

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from .conftest import Client, reason, rows


def test_projects_and_datasets_are_listed(reader: Client) -> None:
    assert [project.project_id for project in reader.list_projects()] == ["sandbox-project"]
    (dataset,) = reader.list_datasets()
    assert dataset.dataset_id == "analytics"
    assert reader.get_dataset("analytics").location == "US"


def test_a_table_has_its_schema_and_its_real_size(reader: Client) -> None:
    table = reader.get_table("analytics.plans")
    assert [(field.name, field.field_type) for field in table.schema] == [
        ("plan_id", "INTEGER"),
        ("name", "STRING"),
        ("price", "NUMERIC"),
        ("active", "BOOLEAN"),
        ("created_at", "TIMESTAMP"),
    ]
    assert (table.num_rows, table.num_bytes, table.table_type) == (1000, 42893, "TABLE")


def test_a_view_has_no_size(admin: Client, dataset: str) -> None:
    rows(admin, f"CREATE VIEW {dataset}.v AS SELECT 1 AS n")
    view = admin.get_table(f"{dataset}.v")
    assert (view.table_type, view.num_rows, view.num_bytes) == ("VIEW", None, None)
    assert "SELECT" in view.view_query


@pytest.mark.parametrize(
    ("look", "says"),
    [
        (lambda client: client.get_dataset("nope"), "Dataset sandbox-project:nope"),
        (lambda client: list(client.list_tables("nope")), "Dataset sandbox-project:nope"),
        (lambda client: client.get_table("analytics.nope"), "Table sandbox-project:analytics.nope"),
        (
            lambda client: list(client.list_rows("analytics.nope", selected_fields=[])),
            "analytics.nope",
        ),
        (lambda client: client.get_job("nope", retry=None), "Job sandbox-project:US.nope"),
    ],
    ids=["dataset", "tables", "table", "rows", "job"],
)
def test_what_does_not_exist_is_not_found(
    reader: Client, look: Callable[[Client], Any], says: str
) -> None:
    with pytest.raises(exceptions.NotFound, match=says) as caught:
        look(reader)
    assert reason(caught.value) == "notFound"


def test_rows_of_a_table_are_read_without_a_query(reader: Client) -> None:
    names = [bigquery.SchemaField("name", "STRING")]
    found = reader.list_rows("analytics.plans", selected_fields=names, start_index=998)
    assert [tuple(row) for row in found] == [("team-999",), ("solo-1000",)]
    assert (
        len(list(reader.list_rows("analytics.usage", selected_fields=names[:0] or None))) == 20000
    )


@pytest.fixture
def keyed(admin: Client, dataset: str) -> str:
    """A table with a key, comments, a partition, a cluster, and a column added later."""
    rows(
        admin,
        f"""CREATE TABLE {dataset}.keyed (
            tenant STRING NOT NULL OPTIONS (description = 'who'), id INT64 NOT NULL, day DATE,
            tags ARRAY<STRUCT<k STRING, v NUMERIC>>, PRIMARY KEY (tenant, id) NOT ENFORCED
        ) PARTITION BY day CLUSTER BY id OPTIONS (description = 'kept "well"')""",
    )
    rows(admin, f"ALTER TABLE {dataset}.keyed ADD COLUMN note JSON")
    return dataset


def test_columns_come_with_type_and_position(reader: Client, keyed: str) -> None:
    found = rows(
        reader,
        f"""SELECT column_name, ordinal_position, is_nullable, data_type, is_partitioning_column,
            clustering_ordinal_position FROM {keyed}.INFORMATION_SCHEMA.COLUMNS
            ORDER BY ordinal_position""",
    )
    assert [tuple(row.values()) for row in found] == [
        ("tenant", 1, "NO", "STRING", "NO", None),
        ("id", 2, "NO", "INT64", "NO", 1),
        ("day", 3, "YES", "DATE", "YES", None),
        ("tags", 4, "YES", "ARRAY<STRUCT<k STRING, v NUMERIC>>", "NO", None),
        ("note", 5, "YES", "JSON", "NO", None),
    ]


def test_what_is_inside_a_column_has_a_path_and_a_comment(reader: Client, keyed: str) -> None:
    paths = rows(
        reader,
        f"""SELECT field_path, description FROM {keyed}.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS
            WHERE column_name IN ('tenant', 'tags')""",
    )
    assert [tuple(row.values()) for row in paths] == [
        ("tenant", "who"),
        ("tags", None),
        ("tags.k", None),
        ("tags.v", None),
    ]


def test_a_primary_key_is_known_and_not_enforced(reader: Client, admin: Client, keyed: str) -> None:
    keys = rows(
        reader,
        f"""SELECT c.constraint_type, k.column_name, k.ordinal_position
            FROM {keyed}.INFORMATION_SCHEMA.TABLE_CONSTRAINTS AS c
            JOIN {keyed}.INFORMATION_SCHEMA.KEY_COLUMN_USAGE AS k USING (constraint_name)
            ORDER BY k.ordinal_position""",
    )
    assert [tuple(row.values()) for row in keys] == [
        ("PRIMARY KEY", "tenant", 1),
        ("PRIMARY KEY", "id", 2),
    ]
    rows(admin, f"INSERT INTO {keyed}.keyed (tenant, id) VALUES ('a', 1), ('a', 1)")
    rows(admin, f"CREATE OR REPLACE TABLE {keyed}.keyed AS SELECT 1 AS id")
    assert rows(reader, f"SELECT * FROM {keyed}.INFORMATION_SCHEMA.KEY_COLUMN_USAGE") == []


def test_a_table_resource_shows_the_same(reader: Client, keyed: str) -> None:
    table = reader.get_table(f"{keyed}.keyed")
    assert table.description == 'kept "well"'
    assert table.schema[0].description == "who"
    assert table.clustering_fields == ["id"]
    assert table.time_partitioning.field == "day"
    assert table.table_constraints.primary_key.columns == ["tenant", "id"]


def test_tables_and_views_are_told_apart(reader: Client, admin: Client, dataset: str) -> None:
    rows(admin, f"CREATE TABLE {dataset}.t AS SELECT 1 AS n")
    rows(admin, f"CREATE VIEW {dataset}.v AS SELECT n FROM {dataset}.t")
    listed = {table.table_id: table.table_type for table in reader.list_tables(dataset)}
    assert listed == {"t": "TABLE", "v": "VIEW"}
    found = rows(
        reader, f"SELECT table_name, table_type FROM {dataset}.INFORMATION_SCHEMA.TABLES ORDER BY 1"
    )
    assert [tuple(row.values()) for row in found] == [("t", "BASE TABLE"), ("v", "VIEW")]
    (view,) = rows(reader, f"SELECT view_definition FROM {dataset}.INFORMATION_SCHEMA.VIEWS")
    assert dataset in view["view_definition"]


def test_sizes_of_all_tables_come_in_one_query(reader: Client) -> None:
    found = rows(
        reader,
        """SELECT table_name, total_rows, total_logical_bytes
           FROM `sandbox-project`.`region-us`.INFORMATION_SCHEMA.TABLE_STORAGE
           WHERE table_schema = 'analytics' ORDER BY 1""",
    )
    assert [tuple(row.values()) for row in found] == [
        ("plans", 1000, 42893),
        ("usage", 20000, 871200),
    ]
    older = rows(
        reader, "SELECT table_id, row_count, size_bytes FROM analytics.__TABLES__ ORDER BY 1"
    )
    assert [tuple(row.values()) for row in older] == [tuple(row.values()) for row in found]


def test_datasets_can_be_asked_for_without_naming_one(reader: Client) -> None:
    found = rows(reader, "SELECT schema_name, location FROM INFORMATION_SCHEMA.SCHEMATA")
    assert found == [{"schema_name": "analytics", "location": "US"}]


@pytest.mark.parametrize(
    ("view", "error"),
    [
        ("`region-eu`.INFORMATION_SCHEMA.TABLES", exceptions.NotFound),
        ("INFORMATION_SCHEMA.TABLES", exceptions.BadRequest),
        ("analytics.INFORMATION_SCHEMA.TABLE_STORAGE", exceptions.BadRequest),
        ("analytics.INFORMATION_SCHEMA.SEARCH_INDEXES", exceptions.MethodNotImplemented),
    ],
)
def test_a_view_that_is_not_there_is_said_to_be_so(
    reader: Client, view: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        rows(reader, f"SELECT * FROM {view}")


def test_metadata_are_billed_at_the_minimum(reader: Client) -> None:
    job = reader.query("SELECT * FROM analytics.INFORMATION_SCHEMA.TABLES")
    job.result()
    assert job.total_bytes_billed == 10 * 1024 * 1024


def test_many_tables_take_few_calls(admin: Client, dataset: str) -> None:
    kinds = ("INT64", "STRING", "NUMERIC", "TIMESTAMP")
    schema = [bigquery.SchemaField(f"c{n}", kinds[n % 4]) for n in range(20)]
    for number in range(120):
        name = f"{admin.project}.{dataset}.t{number}"
        admin.create_table(bigquery.Table(name, schema=schema))
    columns = admin.query(f"SELECT column_name FROM {dataset}.INFORMATION_SCHEMA.COLUMNS")
    assert columns.result().total_rows == 120 * 20
    sizes = admin.query(
        "SELECT total_rows FROM `region-us`.INFORMATION_SCHEMA.TABLE_STORAGE "
        f"WHERE table_schema = '{dataset}'"
    )
    assert [row.total_rows for row in sizes.result()] == [0] * 120
    assert len(list(admin.list_tables(dataset))) == 120
    pages = list(admin.list_tables(dataset, page_size=100).pages)
    assert [page.num_items for page in pages] == [100, 20]
