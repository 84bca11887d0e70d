"""What the reader may not do, by whichever door it comes."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types

from .conftest import Client, connect, dry_run, reason, rows

WRITES = [
    "INSERT INTO analytics.plans (plan_id) VALUES (0)",
    "UPDATE analytics.plans SET name = 'x' WHERE TRUE",
    "DELETE FROM analytics.plans WHERE TRUE",
    "MERGE analytics.plans AS t USING (SELECT 1 AS id) AS s ON t.plan_id = s.id "
    "WHEN MATCHED THEN DELETE",
    "TRUNCATE TABLE analytics.plans",
    "CREATE TABLE analytics.mine AS SELECT 1 AS n",
    "CREATE OR REPLACE VIEW analytics.mine AS SELECT 1 AS n",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION analytics.mine(x INT64) AS (x)",
    "DROP TABLE analytics.plans",
    "DROP SCHEMA analytics CASCADE",
    "ALTER TABLE analytics.plans ADD COLUMN x INT64",
    "SELECT 1; DELETE FROM analytics.plans WHERE TRUE",
    "BEGIN DELETE FROM analytics.plans WHERE TRUE; END",
    "EXECUTE IMMEDIATE 'DELETE FROM analytics.plans WHERE TRUE'",
    "CALL analytics.anything()",
    "BEGIN TRANSACTION; DELETE FROM analytics.plans WHERE TRUE; COMMIT TRANSACTION",
]


@pytest.mark.parametrize("sql", WRITES, ids=lambda sql: sql[:40])
def test_a_statement_that_writes_is_denied(reader: Client, sql: str) -> None:
    with pytest.raises(exceptions.Forbidden) as caught:
        rows(reader, sql)
    assert reason(caught.value) == "accessDenied"
    with pytest.raises(exceptions.Forbidden):
        dry_run(reader, sql)


@pytest.mark.parametrize(
    "write",
    [
        lambda client: client.create_dataset("mine"),
        lambda client: client.delete_dataset("analytics", delete_contents=True),
        lambda client: client.create_table(bigquery.Table("sandbox-project.analytics.mine")),
        lambda client: client.delete_table("analytics.plans"),
        lambda client: client.insert_rows_json("analytics.plans", [{"plan_id": 0}]),
        lambda client: client.load_table_from_json([{"n": 1}], "analytics.plans").result(),
        lambda client: client.copy_table("analytics.plans", "analytics.mine").result(),
        lambda client: client.extract_table("analytics.plans", "gs://bucket/file").result(),
        lambda client: client.update_table(client.get_table("analytics.plans"), ["description"]),
    ],
    ids=[
        "create dataset",
        "delete dataset",
        "create table",
        "delete table",
        "insert rows",
        "load",
        "copy",
        "extract",
        "describe",
    ],
)
def test_a_call_that_writes_is_denied(reader: Client, write: Callable[[Client], Any]) -> None:
    with pytest.raises(exceptions.Forbidden) as caught:
        write(reader)
    assert reason(caught.value) == "accessDenied"


def test_after_all_that_nothing_has_changed(reader: Client) -> None:
    assert sorted(table.table_id for table in reader.list_tables("analytics")) == ["plans", "usage"]
    assert rows(reader, "SELECT COUNT(*) AS n FROM analytics.plans") == [{"n": 1000}]


def test_the_reader_may_run_a_script_that_only_reads(reader: Client) -> None:
    assert rows(reader, "DECLARE n INT64 DEFAULT 41; SET n = n + 1; SELECT n") == [{"n": 42}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM restricted.salaries",
        "SELECT * FROM `sandbox-project.restricted.salaries`",
        "SELECT 1 FROM analytics.plans WHERE EXISTS (SELECT 1 FROM restricted.salaries)",
        "SELECT * FROM `restricted.sal*`",
        "SELECT * FROM restricted.INFORMATION_SCHEMA.COLUMNS",
        "SELECT * FROM restricted.not_there",
        "SELECT 1; SELECT * FROM restricted.salaries",
        "DECLARE n INT64 DEFAULT (SELECT MAX(amount) FROM restricted.salaries); SELECT n",
        "DECLARE n INT64; SET n = (SELECT MAX(amount) FROM restricted.salaries); SELECT n",
    ],
)
def test_a_dataset_the_reader_may_not_see_is_denied(reader: Client, sql: str) -> None:
    with pytest.raises(exceptions.Forbidden) as caught:
        rows(reader, sql)
    assert reason(caught.value) == "accessDenied"
    assert "Access Denied: Table sandbox-project:restricted." in str(caught.value)


@pytest.mark.parametrize(
    "look",
    [
        lambda client: client.get_dataset("restricted"),
        lambda client: list(client.list_tables("restricted")),
        lambda client: client.get_table("restricted.salaries"),
        lambda client: list(client.list_rows("restricted.salaries", selected_fields=[])),
        lambda client: list(client.list_routines("restricted")),
    ],
    ids=["dataset", "tables", "table", "rows", "routines"],
)
def test_its_metadata_are_denied_as_well(reader: Client, look: Callable[[Client], Any]) -> None:
    with pytest.raises(exceptions.Forbidden):
        look(reader)


def test_it_is_in_no_list(reader: Client, admin: Client) -> None:
    assert [one.dataset_id for one in reader.list_datasets()] == ["analytics"]
    assert "restricted" in {one.dataset_id for one in admin.list_datasets()}
    for view in ("TABLES", "COLUMNS", "TABLE_STORAGE"):
        found = rows(reader, f"SELECT table_schema FROM `region-us`.INFORMATION_SCHEMA.{view}")
        assert "restricted" not in {row["table_schema"] for row in found}


def test_a_view_is_no_way_around(reader: Client, admin: Client, dataset: str) -> None:
    rows(admin, f"CREATE VIEW {dataset}.peek AS SELECT * FROM restricted.salaries")
    assert len(rows(admin, f"SELECT * FROM {dataset}.peek")) == 10
    with pytest.raises(exceptions.Forbidden):
        rows(reader, f"SELECT * FROM {dataset}.peek")


def test_the_storage_api_is_no_way_around(storage: Callable[[], Any]) -> None:
    wanted = types.ReadSession(
        table="projects/sandbox-project/datasets/restricted/tables/salaries",
        data_format=types.DataFormat.ARROW,
    )
    with pytest.raises(exceptions.PermissionDenied):
        storage().create_read_session(parent="projects/sandbox-project", read_session=wanted)


def test_files_of_the_machine_are_out_of_reach(reader: Client, admin: Client) -> None:
    for client in (reader, admin):
        with pytest.raises(exceptions.BadRequest, match="Table-valued function not found"):
            rows(client, "SELECT * FROM read_csv('/etc/passwd')")
        with pytest.raises(exceptions.GoogleAPICallError):
            rows(client, "SELECT * FROM `/etc/passwd`")


def test_another_project_is_denied(endpoint: dict[str, Any], reader: Client) -> None:
    stranger = bigquery.Client(
        project="another-project",
        credentials=reader._credentials,
        client_options={"api_endpoint": endpoint["api_endpoint"]},
    )
    with pytest.raises(exceptions.Forbidden):
        stranger.query("SELECT 1")


def test_permissions_can_be_asked_for(reader: Client, admin: Client) -> None:
    asked = ["bigquery.tables.getData", "bigquery.tables.updateData"]
    assert reader.test_iam_permissions("analytics.plans", asked) == {"permissions": asked[:1]}
    assert admin.test_iam_permissions("analytics.plans", asked) == {"permissions": asked}


def test_the_emulators_own_header_gives_no_other_name(
    endpoint: dict[str, Any], reader: Client
) -> None:
    rows(reader, "SELECT 1")
    headers = {
        "Authorization": f"Bearer {reader._credentials.token}",
        "X-Bqemu-Caller": "user:somebody@example.test",
    }
    url = f"{endpoint['api_endpoint']}/bigquery/v2/projects/sandbox-project/queries"
    body = {"query": "SELECT SESSION_USER() AS who", "useLegacySql": False}
    answer = requests.post(url, json=body, headers=headers, timeout=5).json()
    assert answer["rows"][0]["f"][0]["v"].startswith("reader@")


def test_rights_on_datasets_are_none_on_the_region(endpoint: dict[str, Any]) -> None:
    client = connect(endpoint, "dataset_service_account")
    found = rows(client, "SELECT table_name AS t FROM analytics.INFORMATION_SCHEMA.TABLES")
    assert {row["t"] for row in found} == {"plans", "usage"}
    for view in ("TABLES", "TABLE_STORAGE", "SCHEMATA"):
        with pytest.raises(exceptions.Forbidden) as caught:
            rows(client, f"SELECT * FROM `region-us`.INFORMATION_SCHEMA.{view}")
        assert reason(caught.value) == "accessDenied"
    client.close()
