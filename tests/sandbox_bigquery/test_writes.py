"""What the writer can do: DML, DDL, transactions, loads, time travel."""

import threading
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.waiting import wait_for

from .conftest import Client, dry_run, reason, rows


@pytest.fixture
def table(admin: Client, dataset: str) -> str:
    """A table with ids 1 to 10."""
    rows(
        admin,
        f"CREATE TABLE {dataset}.t AS SELECT n AS id, 'old' AS name "
        "FROM UNNEST(GENERATE_ARRAY(1, 10)) AS n",
    )
    return f"{dataset}.t"


@pytest.mark.parametrize(
    ("sql", "kind", "affected"),
    [
        ("INSERT INTO {0} VALUES (11, 'new'), (12, 'new')", "INSERT", 2),
        ("UPDATE {0} SET name = 'new' WHERE id <= 3", "UPDATE", 3),
        ("DELETE FROM {0} WHERE id > 6", "DELETE", 4),
        (
            "MERGE {0} AS t USING (SELECT 1 AS id UNION ALL SELECT 99) AS s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET name = 'new' "
            "WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, 'new')",
            "MERGE",
            2,
        ),
        ("TRUNCATE TABLE {0}", "TRUNCATE_TABLE", 10),
    ],
    ids=["insert", "update", "delete", "merge", "truncate"],
)
def test_dml_tells_how_many_rows_it_changed(
    admin: Client, table: str, sql: str, kind: str, affected: int
) -> None:
    job = admin.query(sql.format(table))
    job.result()
    assert (job.statement_type, job.num_dml_affected_rows) == (kind, affected)


def test_a_transaction_is_rolled_back(admin: Client, table: str) -> None:
    found = rows(
        admin,
        f"BEGIN TRANSACTION; DELETE FROM {table} WHERE TRUE; ROLLBACK TRANSACTION; "
        f"SELECT COUNT(*) AS n FROM {table}",
    )
    assert found == [{"n": 10}]


def test_nobody_sees_the_middle_of_a_transaction(admin: Client, table: str) -> None:
    job = admin.query(
        f"BEGIN TRANSACTION; DELETE FROM {table} WHERE TRUE; "
        "SELECT SUM(n) FROM UNNEST(GENERATE_ARRAY(1, 10000000)) AS n; "
        f"INSERT INTO {table} (id, name) VALUES (1, 'new'); COMMIT TRANSACTION"
    )
    seen = []
    while not job.done():
        seen += rows(admin, f"SELECT COUNT(*) AS n FROM {table}")
    job.result()
    assert len(seen) > 1
    assert {row["n"] for row in seen} <= {10, 1}
    assert rows(admin, f"SELECT COUNT(*) AS n FROM {table}") == [{"n": 1}]


def test_a_transaction_that_fails_leaves_nothing(admin: Client, table: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="no more of it"):
        rows(
            admin,
            f"BEGIN TRANSACTION; DELETE FROM {table} WHERE TRUE; "
            "SELECT ERROR('no more of it'); COMMIT TRANSACTION",
        )
    assert rows(admin, f"SELECT COUNT(*) AS n FROM {table}") == [{"n": 10}]
    rows(admin, f"BEGIN TRANSACTION; DELETE FROM {table} WHERE TRUE; COMMIT TRANSACTION")
    assert rows(admin, f"SELECT COUNT(*) AS n FROM {table}") == [{"n": 0}]


def test_a_transaction_that_fails_leaves_the_one_before_it(admin: Client, table: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="no more of it"):
        rows(
            admin,
            f"BEGIN TRANSACTION; DELETE FROM {table} WHERE id > 4; COMMIT TRANSACTION; "
            f"BEGIN TRANSACTION; DELETE FROM {table} WHERE TRUE; SELECT ERROR('no more of it'); "
            "COMMIT TRANSACTION",
        )
    assert rows(admin, f"SELECT COUNT(*) AS n FROM {table}") == [{"n": 4}]


def test_a_null_in_a_required_column_is_refused(admin: Client, dataset: str) -> None:
    rows(admin, f"CREATE TABLE {dataset}.strict (id INT64 NOT NULL)")
    with pytest.raises(exceptions.BadRequest, match="Required field id cannot be null"):
        rows(admin, f"INSERT INTO {dataset}.strict VALUES (NULL)")


def test_a_dry_run_of_a_write_writes_nothing(admin: Client, table: str) -> None:
    job = dry_run(admin, f"DELETE FROM {table} WHERE TRUE")
    assert job.statement_type == "DELETE"
    assert rows(admin, f"SELECT COUNT(*) AS n FROM {table}") == [{"n": 10}]


def test_a_table_is_seen_as_it_was(admin: Client, table: str) -> None:
    rows(admin, f"UPDATE {table} SET name = 'middle' WHERE TRUE")
    (now,) = rows(admin, "SELECT CURRENT_TIMESTAMP() AS now")
    rows(admin, f"UPDATE {table} SET name = 'new' WHERE TRUE")
    then = f"TIMESTAMP '{now['now'].isoformat()}'"
    (row,) = rows(admin, f"SELECT DISTINCT name FROM {table} FOR SYSTEM_TIME AS OF {then}")
    assert row == {"name": "middle"}
    with pytest.raises(exceptions.BadRequest) as caught:
        rows(
            admin,
            f"SELECT name FROM {table} FOR SYSTEM_TIME AS OF TIMESTAMP '2001-01-01 00:00:00+00'",
        )
    assert reason(caught.value) == "invalid"


def test_rows_are_loaded_and_streamed_in(admin: Client, dataset: str) -> None:
    schema = [bigquery.SchemaField("id", "INT64"), bigquery.SchemaField("name", "STRING")]
    admin.create_table(bigquery.Table(f"{admin.project}.{dataset}.loaded", schema=schema))
    load = admin.load_table_from_json([{"id": 1, "name": "a"}], f"{dataset}.loaded")
    load.result(timeout=10)
    assert admin.insert_rows_json(f"{dataset}.loaded", [{"id": 2, "name": "b"}]) == []
    assert rows(admin, f"SELECT * FROM {dataset}.loaded ORDER BY id") == [
        {"id": 1, "name": "a"},
        {"id": 2, "name": "b"},
    ]
    assert admin.get_table(f"{dataset}.loaded").num_rows == 2


def test_writers_come_one_after_another(admin: Client, table: str) -> None:
    jobs = [admin.query(f"UPDATE {table} SET id = id + 1 WHERE TRUE") for _ in range(5)]
    assert [job.result().num_dml_affected_rows for job in jobs] == [10] * 5
    assert rows(admin, f"SELECT MIN(id) AS least FROM {table}") == [{"least": 6}]


def test_a_reader_is_not_held_up_by_a_writer(admin: Client, reader: Client, table: str) -> None:
    done = threading.Event()

    def write() -> None:
        rows(
            admin,
            f"INSERT INTO {table} SELECT a + b, 'x' FROM UNNEST(GENERATE_ARRAY(1, 3000)) AS a "
            "CROSS JOIN UNNEST(GENERATE_ARRAY(1, 1000)) AS b",
        )
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert rows(reader, "SELECT COUNT(*) AS n FROM analytics.plans") == [{"n": 1000}]
    assert wait_for(done.is_set, 20)
    writer.join()


@pytest.mark.parametrize(
    "attempt",
    [
        lambda client, name: rows(
            client, "SELECT 1 AS n", destination=f"{client.project}.{name}.d"
        ),
        lambda client, name: rows(client, "SELECT 1", use_legacy_sql=True),
        lambda client, name: rows(client, "SELECT 1", create_session=True),
        lambda client, name: rows(client, f"ALTER TABLE {name}.t RENAME TO u"),
        lambda client, name: rows(client, "EXPORT DATA OPTIONS (uri='gs://b/*') AS SELECT 1"),
        lambda client, name: rows(client, "SELECT * FROM EXTERNAL_QUERY('c', 'SELECT 1')"),
        lambda client, name: rows(client, "SELECT @@project_id"),
        lambda client, name: client.create_table(_view(client, name)),
    ],
    ids=["destination", "legacy", "session", "rename", "export", "external", "variable", "view"],
)
def test_what_is_not_offered_says_so_at_once(admin: Client, dataset: str, attempt: Any) -> None:
    rows(admin, f"CREATE TABLE {dataset}.t AS SELECT 1 AS n")
    with pytest.raises(exceptions.MethodNotImplemented) as caught:
        attempt(admin, dataset)
    assert reason(caught.value) == "notImplemented"
    assert "The BigQuery stand-in" in str(caught.value)


def _view(client: Client, dataset: str) -> bigquery.Table:
    view = bigquery.Table(f"{client.project}.{dataset}.v")
    view.view_query = "SELECT 1 AS n"
    return view
