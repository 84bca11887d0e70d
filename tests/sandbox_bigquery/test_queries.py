"""Queries through Google's client: rows, names, and errors in Google's shapes."""

import datetime
from decimal import Decimal

import pytest
from google.api_core import exceptions

from .conftest import Client, dry_run, reason, rows


def test_the_seed_is_the_same_every_time(reader: Client) -> None:
    (plan,) = rows(reader, "SELECT * FROM analytics.plans WHERE plan_id = 3")
    assert plan == {
        "plan_id": 3,
        "name": "team-3",
        "price": Decimal("6.1"),
        "active": True,
        "created_at": datetime.datetime(2026, 1, 1, 3, tzinfo=datetime.UTC),
    }
    (usage,) = rows(
        reader,
        "SELECT COUNT(*) AS n, COUNT(DISTINCT tenant) AS tenants, SUM(requests) AS requests, "
        "MIN(date) AS first, MAX(latency) AS slowest FROM analytics.usage",
    )
    assert usage == {
        "n": 20000,
        "tenants": 250,
        "requests": 100070125,
        "first": datetime.date(2026, 1, 1),
        "slowest": 99.998,
    }


def test_a_query_without_a_job_resource_returns_its_rows(reader: Client) -> None:
    found = reader.query_and_wait("SELECT name FROM analytics.plans ORDER BY plan_id LIMIT 2")
    assert [row.name for row in found] == ["solo-1", "solo-2"]


def test_many_rows_come_in_pages(reader: Client) -> None:
    found = reader.query("SELECT plan_id FROM analytics.usage ORDER BY 1").result(page_size=3000)
    assert [page.num_items for page in found.pages] == [3000] * 6 + [2000]


def test_nameless_columns_are_named_as_bigquery_does(reader: Client) -> None:
    assert rows(reader, "SELECT 1, 2 AS two, COUNT(*), MAX(price) FROM analytics.plans")[0] == {
        "f0_": 1,
        "two": 2,
        "f1_": 1000,
        "f2_": Decimal("54.94"),
    }


def test_a_default_dataset_completes_names(reader: Client) -> None:
    found = rows(
        reader, "SELECT COUNT(*) AS n FROM plans", default_dataset="sandbox-project.analytics"
    )
    assert found == [{"n": 1000}]


def test_integers_are_64_bits_wide(reader: Client) -> None:
    assert rows(reader, "SELECT 2000000000 + 2000000000 AS n") == [{"n": 4000000000}]


def test_a_text_that_looks_like_sql_stays_a_text(reader: Client) -> None:
    text = "analytics.INFORMATION_SCHEMA.TABLES @a ? NUMERIC"
    assert rows(reader, f"SELECT '{text}' AS t") == [{"t": text}]


@pytest.mark.parametrize(
    ("sql", "error", "why", "says"),
    [
        ("SELEC 1", exceptions.BadRequest, "invalidQuery", 'Unexpected "1" at [1:7]'),
        ("SELECT 'open", exceptions.BadRequest, "invalidQuery", "Unclosed string literal"),
        (
            "SELECT\n nope FROM analytics.plans",
            exceptions.BadRequest,
            "invalidQuery",
            "nope at [2:2]",
        ),
        ("SELECT nofunction(1)", exceptions.BadRequest, "invalidQuery", "nofunction at [1:8]"),
        ("SELECT CAST('a' AS INT64)", exceptions.BadRequest, "invalidQuery", "Bad int64 value: a"),
        ("SELECT 1/0", exceptions.BadRequest, "invalidQuery", "division by zero"),
        ("SELECT 9223372036854775807 + 1", exceptions.BadRequest, "invalidQuery", "int64 overflow"),
        ("EXPLAIN SELECT 1", exceptions.BadRequest, "invalidQuery", "Syntax error"),
        ("SELECT 1 AS a, 2 AS a", exceptions.BadRequest, "invalidQuery", "Duplicate column names"),
        ("SELECT [1, NULL]", exceptions.BadRequest, "invalidQuery", "cannot have a null element"),
        ("SELECT @missing", exceptions.BadRequest, "invalidQuery", "'missing' not found at [1:8]"),
        (
            "SELECT * FROM plans",
            exceptions.BadRequest,
            "invalid",
            "must be qualified with a dataset",
        ),
        ("  ", exceptions.BadRequest, "invalid", "Required parameter is missing"),
        ("SELECT 1 --" + "x" * 1_100_000, exceptions.BadRequest, "invalid", "too large"),
        (
            "SELECT * FROM analytics.nope",
            exceptions.NotFound,
            "notFound",
            "Not found: Table sandbox-project:analytics.nope was not found in location US",
        ),
        (
            "SELECT * FROM analytics.PLANS",
            exceptions.NotFound,
            "notFound",
            "Not found: Table sandbox-project:analytics.PLANS",
        ),
        (
            "SELECT * FROM nope.nope",
            exceptions.NotFound,
            "notFound",
            "Not found: Dataset sandbox-project:nope was not found in location US",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_wrong_query_ends_in_googles_error(
    reader: Client,
    sql: str,
    error: type[exceptions.GoogleAPICallError],
    why: str,
    says: str,
) -> None:
    with pytest.raises(error) as caught:
        rows(reader, sql)
    assert reason(caught.value) == why
    assert says in str(caught.value)
    if why == "invalidQuery":
        assert caught.value.errors[0]["location"] == "query"


def test_a_failed_job_keeps_its_error(reader: Client) -> None:
    job = reader.query("SELECT nope FROM analytics.plans")
    with pytest.raises(exceptions.BadRequest):
        job.result()
    job.reload()
    assert job.state == "DONE"
    assert job.error_result == {
        "reason": "invalidQuery",
        "message": "Unrecognized name: nope at [1:8]",
        "location": "query",
    }


def test_a_wrong_query_fails_its_dry_run_at_once(reader: Client) -> None:
    with pytest.raises(exceptions.NotFound):
        dry_run(reader, "SELECT * FROM analytics.nope")


def test_too_deep_a_query_is_refused(reader: Client) -> None:
    with pytest.raises(exceptions.BadRequest) as caught:
        rows(reader, "SELECT " + "(" * 5000 + "1" + ")" * 5000)
    assert reason(caught.value) == "resourcesExceeded"


def test_wildcard_tables_and_views_can_be_read(reader: Client, admin: Client, dataset: str) -> None:
    for day in (1, 2):
        rows(admin, f"CREATE TABLE {dataset}.day_{day} AS SELECT {day} AS n")
    rows(admin, f"CREATE VIEW {dataset}.twice AS SELECT n * 2 AS n FROM {dataset}.day_2")
    found = rows(reader, f"SELECT n, _TABLE_SUFFIX AS day FROM `{dataset}.day_*` ORDER BY n")
    assert found == [{"n": 1, "day": "1"}, {"n": 2, "day": "2"}]
    assert rows(reader, f"SELECT n FROM {dataset}.twice") == [{"n": 4}]
