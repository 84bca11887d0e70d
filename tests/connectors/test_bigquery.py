"""What is BigQuery's own: labels, prices, limits, and a job's id that is known before the job."""

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector, JobContext, Limits, NetworkPolicy, connect
from connectors.errors import (
    LimitExceeded,
    PermissionDenied,
    QueryCancelled,
    QueryTimeout,
)
from sandbox.services.bigquery import client_for
from tests.connectors.bigquery_relay import Relay
from tests.connectors.helpers import rows_of
from tests.connectors.matrix import MATRIX
from tests.waiting import wait_for

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
        assert (result.stats.amount_billed, result.stats.currency) == (Decimal("0.000060"), "USD")
        client: Any = own._client  # type: ignore[attr-defined]
        job = client.get_job(result.stats.vendor_query_id)
    assert job.labels == {"service": "svc", "team": "team_ä_1", "run": "run-7"}


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
    assert (estimate.bytes_scanned, estimate.cost_high) == (0, Decimal(0))


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


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM plans LIMIT 0", "SELECT * FROM plans WHERE FALSE", "SELECT * FROM plans"]
)
def test_fewer_rows_are_no_cheaper(connector: Connector, sql: str) -> None:
    estimate = connector.estimate(sql)
    assert (estimate.bytes_scanned, estimate.basis) == (42_893, "exact")
    assert estimate.cost_high == Decimal("0.000060")


def test_estimate_that_may_be_too_high_says_so(
    connector: Connector, endpoints: dict[str, Any], private_name: str
) -> None:
    client = client_for(endpoints["bigquery"], "admin_service_account")
    client.query(
        f"CREATE OR REPLACE TABLE analytics.{private_name}_c (n INT64, day DATE) CLUSTER BY n"
    ).result(timeout=20)
    try:
        estimate = connector.estimate(f"SELECT n FROM {private_name}_c")
    finally:
        client.delete_table(f"analytics.{private_name}_c")
        client.close()
    assert estimate.basis == "upper_bound"


# A job that has not been answered yet

ENDLESS = next(row for row in MATRIX if row.provider == PROVIDER).endless


@pytest.fixture
def relay(endpoints: dict[str, Any]) -> Iterator[Relay]:
    with Relay(endpoints["bigquery"]["api_endpoint"]) as running:
        yield running


@pytest.fixture
def jobs(endpoints: dict[str, Any]) -> Iterator[Callable[[str], list[Any]]]:
    """The warehouse's own history, by a run's label."""
    client = client_for(endpoints["bigquery"], "admin_service_account")
    yield lambda run: [
        job for job in client.list_jobs(all_users=True) if job.labels.get("run") == run
    ]
    client.close()


def test_cancel_reaches_a_job_whose_start_has_not_been_answered(
    opened: Callable[..., Connector], relay: Relay, jobs: Callable[[str], list[Any]]
) -> None:
    connector = opened("bigquery", api_endpoint=relay.url)
    assert rows_of(connector, "SELECT 1 AS one") == [(1,)]
    told: list[Exception] = []

    def run() -> None:
        try:
            connector.query(ENDLESS.format(mark="m"), run_id="held")
        except QueryCancelled as exc:
            told.append(exc)

    with relay.holding("POST /bigquery/v2/projects/sandbox-project/jobs"):
        asking = threading.Thread(target=run)
        asking.start()
        wait_for(lambda: bool(jobs("held")))
        assert jobs("held")[0].state != "DONE"
        cancelling = threading.Thread(target=connector.cancel, args=("held",))
        cancelling.start()
        # While the client still waits to hear that there is such a job.
        wait_for(lambda: jobs("held")[0].state == "DONE")
        assert asking.is_alive()
    asking.join(5)
    cancelling.join(5)
    assert jobs("held")[0].error_result["reason"] == "stopped"
    assert len(told) == 1


def test_job_whose_start_is_never_answered_is_ended(
    opened: Callable[..., Connector], relay: Relay, jobs: Callable[[str], list[Any]]
) -> None:
    connector = opened("bigquery", api_endpoint=relay.url)
    assert rows_of(connector, "SELECT 1 AS one") == [(1,)]
    with (
        relay.holding("POST /bigquery/v2/projects/sandbox-project/jobs"),
        pytest.raises(QueryTimeout),
    ):
        connector.query(ENDLESS.format(mark="m"), limits=Limits(timeout_s=1), run_id="unanswered")
    wait_for(lambda: jobs("unanswered")[0].state == "DONE")
    assert len(jobs("unanswered")) == 1
