"""What a statement will read and cost, told before it runs."""

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from .conftest import Client, Job, dry_run, reason, rows

MIB = 1024 * 1024
# plan_id and created_at take 8 bytes a row, price 16, active 1, a name 2 and its characters.
PLAN_ID, NAMES, ALL_PLANS = 8000, 9893, 42893


def accuracy(job: Job) -> str:
    return str(job._properties["statistics"]["query"]["totalBytesProcessedAccuracy"])


@pytest.mark.parametrize(
    ("sql", "bytes_read"),
    [
        ("SELECT plan_id FROM analytics.plans", PLAN_ID),
        ("SELECT name FROM analytics.plans", NAMES),
        ("SELECT * FROM analytics.plans LIMIT 1", ALL_PLANS),
        ("SELECT * EXCEPT (name) FROM analytics.plans", ALL_PLANS - NAMES),
        ("SELECT plan_id FROM analytics.plans WHERE name = 'x'", PLAN_ID + NAMES),
        ("SELECT COUNT(*) FROM analytics.plans", 0),
        ("WITH p AS (SELECT * FROM analytics.plans) SELECT plan_id FROM p", PLAN_ID),
        ("SELECT x.y FROM (SELECT STRUCT(plan_id AS y) AS x FROM analytics.plans)", PLAN_ID),
        (
            "SELECT p.name, SUM(u.requests) FROM analytics.plans AS p "
            "JOIN analytics.usage AS u USING (plan_id) GROUP BY p.name",
            NAMES + PLAN_ID + 2 * 8 * 20000,
        ),
        (
            "SELECT plan_id FROM analytics.plans UNION ALL SELECT plan_id FROM analytics.usage",
            PLAN_ID + 8 * 20000,
        ),
        ("SELECT 1", 0),
    ],
)
def test_bytes_are_counted_by_column(reader: Client, sql: str, bytes_read: int) -> None:
    job = dry_run(reader, sql)
    assert (job.total_bytes_processed, accuracy(job)) == (bytes_read, "PRECISE")


def test_a_dry_run_runs_and_bills_nothing(reader: Client) -> None:
    job = dry_run(reader, "SELECT plan_id, name FROM analytics.plans", labels={"a": "b"})
    assert (job.state, job.total_bytes_billed, job.cache_hit) == ("DONE", 0, False)
    assert [(field.name, field.field_type) for field in job.schema] == [
        ("plan_id", "INTEGER"),
        ("name", "STRING"),
    ]
    assert [table.table_id for table in job.referenced_tables] == ["plans"]
    with pytest.raises(exceptions.NotFound):
        reader.get_job(job.job_id, retry=None)


def test_a_parameter_does_not_hide_the_columns(reader: Client) -> None:
    name = bigquery.ScalarQueryParameter("name", "STRING", "x")
    sql = "SELECT plan_id FROM analytics.plans WHERE name = @name"
    job = dry_run(reader, sql, query_parameters=[name])
    assert job.total_bytes_processed == PLAN_ID + NAMES


def test_a_view_costs_what_it_reads(admin: Client, dataset: str) -> None:
    rows(admin, f"CREATE VIEW {dataset}.v AS SELECT plan_id AS id, name FROM analytics.plans")
    assert dry_run(admin, f"SELECT id FROM {dataset}.v").total_bytes_processed == PLAN_ID


def test_every_type_has_googles_size(admin: Client, dataset: str) -> None:
    sizes = {
        "INT64 '7'": 8,
        "1.5": 8,
        "NUMERIC '1'": 16,
        "BIGNUMERIC '1'": 32,
        "TRUE": 1,
        "'é'": 4,
        "b'\\x00'": 3,
        "DATE '2026-01-01'": 8,
        "TIMESTAMP '2026-01-01 00:00:00+00'": 8,
        "[1, 2]": 16,
        "STRUCT(1 AS a, 'x' AS b)": 11,
        "CAST(NULL AS STRING)": 0,
    }
    expressions = [name.replace("INT64 '7'", "7") for name in sizes]
    columns = ", ".join(f"{sql} AS c{number}" for number, sql in enumerate(expressions))
    rows(admin, f"CREATE TABLE {dataset}.t AS SELECT {columns}")
    found = [
        dry_run(admin, f"SELECT c{number} FROM {dataset}.t").total_bytes_processed
        for number in range(len(sizes))
    ]
    assert dict(zip(sizes, found, strict=True)) == sizes
    assert admin.get_table(f"{dataset}.t").num_bytes == sum(sizes.values())


def test_a_write_changes_the_next_estimate(admin: Client, dataset: str) -> None:
    rows(admin, f"CREATE TABLE {dataset}.t AS SELECT 1 AS n")
    assert dry_run(admin, f"SELECT n FROM {dataset}.t").total_bytes_processed == 8
    rows(admin, f"INSERT INTO {dataset}.t VALUES (2), (3)")
    assert dry_run(admin, f"SELECT n FROM {dataset}.t").total_bytes_processed == 24


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE {0}.t SET n = 2 WHERE n = 1",
        "SELECT n FROM {0}.parts WHERE day = '2026-01-01'",
        "SELECT n FROM `{0}.par*`",
    ],
    ids=["update", "partitions", "wildcard"],
)
def test_what_may_read_less_is_an_upper_bound(admin: Client, dataset: str, sql: str) -> None:
    rows(admin, f"CREATE TABLE {dataset}.t AS SELECT 1 AS n")
    rows(admin, f"CREATE TABLE {dataset}.parts (n INT64, day DATE) PARTITION BY day")
    job = dry_run(admin, sql.format(dataset))
    assert accuracy(job) == "UPPER_BOUND"
    assert job.total_bytes_processed is not None


def test_what_cannot_be_told_is_absent_and_not_zero(reader: Client) -> None:
    version = "FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()"
    for sql in ("SELECT 1; SELECT 2", f"SELECT plan_id FROM analytics.plans {version}"):
        job = dry_run(reader, sql)
        assert (job.total_bytes_processed, accuracy(job)) == (None, "UNKNOWN")
    done = reader.query("DECLARE n INT64 DEFAULT 1; SELECT n")
    done.result()
    assert (done.total_bytes_processed, done.total_bytes_billed) == (None, None)


def test_each_table_is_billed_ten_mib_at_least(reader: Client) -> None:
    def billed(sql: str) -> Any:
        job = reader.query(sql)
        job.result()
        return job.total_bytes_processed, job.total_bytes_billed

    join = "SELECT p.name FROM analytics.plans AS p JOIN analytics.usage AS u USING (plan_id)"
    assert billed("SELECT plan_id FROM analytics.plans") == (PLAN_ID, 10 * MIB)
    assert billed(join) == (NAMES + PLAN_ID + 8 * 20000, 20 * MIB)
    assert billed("SELECT COUNT(*) FROM analytics.plans") == (0, 0)


def test_above_ten_mib_every_started_mib_is_billed(admin: Client, dataset: str) -> None:
    rows(
        admin, f"CREATE TABLE {dataset}.t AS SELECT n FROM UNNEST(GENERATE_ARRAY(1, 1400000)) AS n"
    )
    job = admin.query(f"SELECT MAX(n) AS n FROM {dataset}.t")
    job.result()
    assert (job.total_bytes_processed, job.total_bytes_billed) == (11200000, 11 * MIB)


@pytest.mark.parametrize("how", ["insert", "query"])
def test_a_limit_below_the_bill_stops_the_query(reader: Client, how: str) -> None:
    config = bigquery.QueryJobConfig(maximum_bytes_billed=10 * MIB - 1)
    sql = "SELECT plan_id FROM analytics.plans"
    runs = {
        "insert": lambda: reader.query(sql, job_config=config).result(),
        "query": lambda: reader.query_and_wait(sql, job_config=config),
    }
    with pytest.raises(exceptions.GoogleAPICallError) as caught:
        runs[how]()
    assert reason(caught.value) == "bytesBilledLimitExceeded"
    assert "10485760 or higher required" in str(caught.value)


def test_a_limit_at_the_bill_lets_the_query_run(reader: Client) -> None:
    found = rows(
        reader, "SELECT MAX(plan_id) AS n FROM analytics.plans", maximum_bytes_billed=10 * MIB
    )
    assert found == [{"n": 1000}]


def test_a_limit_that_cannot_be_kept_is_refused(reader: Client) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="cannot be priced"):
        rows(reader, "SELECT 1; SELECT 2", maximum_bytes_billed=10 * MIB)
