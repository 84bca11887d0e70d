"""What is BigQuery's own: labels, parameters, types, prices, cancelling."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector, JobContext, Limits, NetworkPolicy, connect
from connectors.errors import (
    InvalidParameters,
    LimitExceeded,
    PermissionDenied,
    QueryCancelled,
)
from tests.connectors.helpers import assert_arrives, rows_of

PROVIDER = "bigquery"


def test_job_carries_labels_and_says_what_it_used(
    credentials: dict[str, dict[str, Any]], loopback: NetworkPolicy
) -> None:
    context = JobContext(service="Svc", team="Team Ä/1")
    with connect("bigquery", credentials["bigquery"], network=loopback, context=context) as own:
        with own.query("SELECT plan_id FROM plans", run_id="Run-7") as result:
            assert result.read_all().num_rows == 1000
        assert result.stats.bytes_scanned == 8_000
        assert result.stats.bytes_billed == 10 * 2**20
        client: Any = own._client  # type: ignore[attr-defined]
        job = client.get_job(result.stats.vendor_query_id)
    assert job.labels == {"service": "svc", "team": "team_ä_1", "run": "run-7"}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, pa.bool_()),
        (9223372036854775807, pa.int64()),
        (1.5, pa.float64()),
        ("x'y\\", pa.string()),
        (b"\x00\xff", pa.binary()),
        (None, pa.string()),
        ([1, 2], pa.list_(pa.int64())),
        (["a"], pa.list_(pa.string())),
        ([], pa.list_(pa.string())),
    ],
)
def test_value_is_bound_with_its_type(connector: Connector, value: Any, kind: pa.DataType) -> None:
    for sql, params in (("SELECT ? AS v", [value]), ("SELECT @v AS v", {"v": value})):
        found = connector.query(sql, params).read_all()
        assert found.schema.field("v").type == kind
        assert found.to_pylist() == [{"v": value}]


@pytest.mark.parametrize("value", [object(), {"a": 1}, [1, "a"], [None, 1], Decimal(1)])
def test_value_of_a_type_that_is_not_offered_is_refused(connector: Connector, value: Any) -> None:
    with pytest.raises(InvalidParameters):
        connector.query("SELECT ? AS v", [value])


@pytest.mark.parametrize(
    ("sql", "kind", "value"),
    [
        ("TRUE", pa.bool_(), True),
        ("1", pa.int64(), 1),
        ("1.5", pa.float64(), 1.5),
        ("NUMERIC '1.123456789'", pa.decimal128(38, 9), Decimal("1.123456789")),
        ("BIGNUMERIC '1.5'", pa.decimal256(76, 38), Decimal("1.5")),
        ("'x'", pa.string(), "x"),
        ("b'\\xff'", pa.binary(), b"\xff"),
        ("DATE '0001-01-01'", pa.date32(), datetime.date(1, 1, 1)),
        (
            "DATETIME '2026-01-02 03:04:05.123456'",
            pa.timestamp("us"),
            datetime.datetime.fromisoformat("2026-01-02T03:04:05.123456"),
        ),
        (
            "TIMESTAMP '2026-01-02 03:04:05.123456+02'",
            pa.timestamp("us", tz="UTC"),
            datetime.datetime(2026, 1, 2, 1, 4, 5, 123456, tzinfo=datetime.UTC),
        ),
        ("TIME '03:04:05.000001'", pa.time64("us"), datetime.time(3, 4, 5, 1)),
        ("[1, 2]", pa.list_(pa.int64()), [1, 2]),
        (
            "STRUCT(1 AS a, ['x'] AS b)",
            pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]),
            {"a": 1, "b": ["x"]},
        ),
        ("CAST(NULL AS INT64)", pa.int64(), None),
    ],
)
def test_value_arrives_exactly(
    connector: Connector, sql: str, kind: pa.DataType, value: Any
) -> None:
    assert_arrives(connector, sql, kind, value)


def test_json_arrives_as_text(connector: Connector) -> None:
    found = connector.query("SELECT JSON '{\"a\": 1}' AS v").read_all()
    assert found.schema.field("v").type == pa.string()
    assert found.to_pylist()[0]["v"].replace(" ", "") == '{"a":1}'


def test_results_come_without_the_storage_api_too(opened: Callable[..., Connector]) -> None:
    connector = opened("bigquery", storage_endpoint=None)
    found = connector.query("SELECT plan_id, name, price FROM plans").read_all()
    assert found.num_rows == 1000
    assert found.schema.types == [pa.int64(), pa.string(), pa.decimal128(38, 9)]


def test_price_is_exact_and_by_the_tib(connector: Connector) -> None:
    estimate = connector.estimate("SELECT plan_id FROM plans")
    assert (estimate.bytes_scanned, estimate.basis) == (8_000, "exact")
    # Ten MiB at the least.
    assert estimate.cost_low == estimate.cost_high == Decimal("0.000060")
    two = connector.estimate("SELECT p.plan_id FROM plans p JOIN usage u ON p.plan_id = u.plan_id")
    assert two.cost_high == Decimal("0.000119")


def test_query_that_reads_no_table_is_free(connector: Connector) -> None:
    estimate = connector.estimate("SELECT 1 AS one")
    assert (estimate.bytes_scanned, estimate.cost_high) == (0, 0)


def test_limit_on_bytes_scanned_lets_through_what_keeps_to_it(connector: Connector) -> None:
    sql = "SELECT plan_id FROM plans"
    with pytest.raises(LimitExceeded):
        connector.query(sql, limits=Limits(max_bytes_scanned=1))
    limits = Limits(max_bytes_scanned=10 * 2**20)
    assert connector.query(sql, limits=limits).read_all().num_rows == 1000


def test_dataset_that_may_not_be_read_is_denied(
    connector: Connector, endpoints: dict[str, Any]
) -> None:
    dataset = endpoints["bigquery"]["denied_dataset"]
    for verb in (connector.query, connector.estimate):
        with pytest.raises(PermissionDenied):
            verb(f"SELECT * FROM {dataset}.salaries")
    assert dataset not in {table.schema for table in connector.fetch_tables()}


def test_reading_after_cancel_ends(connector: Connector) -> None:
    with connector.query("SELECT plan_id FROM plans", run_id="r-1") as result:
        assert connector.cancel("r-1")
        with pytest.raises(QueryCancelled):
            list(result)
    assert rows_of(connector, "SELECT 1 AS one") == [(1,)]


def test_default_dataset_and_location_are_optional(opened: Callable[..., Connector]) -> None:
    connector = opened("bigquery", dataset=None, location="US")
    assert rows_of(connector, "SELECT COUNT(*) AS n FROM analytics.plans") == [(1000,)]


def test_account_that_is_not_known_is_rejected(
    opened: Callable[..., Connector], endpoints: dict[str, Any]
) -> None:
    key = endpoints["bigquery"]["service_account"] | {"client_email": "nobody@x.example"}
    failure = opened("bigquery", service_account_json=key).check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("sign in", "credentials_rejected")


def test_project_that_is_not_there_is_said(opened: Callable[..., Connector]) -> None:
    failure = opened("bigquery", project="no-such-project").check().failure
    assert failure is not None
    assert failure.name == "read"
    assert failure.code in ("object_not_found", "permission_denied")
