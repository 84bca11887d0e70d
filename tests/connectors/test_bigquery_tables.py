"""Tables of BigQuery: comments, keys, sizes, rights, and what a listing costs."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from google.cloud import bigquery

from connectors import Connector, JobContext, NetworkPolicy, connect
from connectors.errors import PermissionDenied
from connectors.types import Table
from sandbox.services.bigquery import client_for
from tests import vendors
from tests.connectors.bigquery_relay import Relay

Run = Callable[[str], Any]
MANY = 320
ACCOUNTS = ("service_account", "dataset_service_account")
"""The rights of the first are on the project, those of the second on datasets only."""
TEN_MIB = 10 * 2**20


@pytest.fixture(scope="module")
def run(endpoints: dict[str, Any]) -> Iterator[Run]:
    """Statements of the project's owner."""
    there = endpoints["bigquery"]
    owner = {**there, "service_account_json": there["admin_service_account"]}
    with vendors.EXECUTING["bigquery"](owner) as execute:
        yield execute


@pytest.fixture
def dataset(run: Run, private_name: str) -> Iterator[str]:
    name = f"{private_name}_listed"
    run(f"CREATE SCHEMA {name}")
    yield name
    run(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def connector(opened: Callable[..., Connector]) -> Connector:
    return opened("bigquery")


@pytest.fixture
def by_dataset(opened: Callable[..., Connector], endpoints: dict[str, Any]) -> Connector:
    """One whose account has rights on datasets, and none on the project."""
    account = endpoints["bigquery"]["dataset_service_account"]
    return opened("bigquery", service_account_json=account)


def listed(connector: Connector, dataset: str) -> list[Table]:
    return [table for table in connector.fetch_tables() if table.schema == dataset]


COMMENT = 'kept "well",\n\tin \\ two lines: é \U0001f600 \''


def test_comments_keys_and_sizes_are_those_of_the_warehouse(
    run: Run, dataset: str, connector: Connector, by_dataset: Connector
) -> None:
    escaped = COMMENT.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    run(
        f"""CREATE TABLE {dataset}.keyed (
            z STRING NOT NULL OPTIONS (description = 'who'), id INT64 NOT NULL, day DATE,
            PRIMARY KEY (z, id) NOT ENFORCED
        ) OPTIONS (description = "{escaped}")"""
    )
    run(f"INSERT INTO {dataset}.keyed VALUES ('a', 1, NULL), ('b', 2, DATE '2026-01-01')")
    run(f"CREATE VIEW {dataset}.seen AS SELECT id FROM {dataset}.keyed")
    by_name = connector.fetch_tables(dataset)
    assert by_name == listed(connector, dataset) == listed(by_dataset, dataset)
    keyed, seen = by_name
    assert (keyed.kind, keyed.primary_key, keyed.comment) == ("table", ("z", "id"), COMMENT)
    assert (keyed.row_count, keyed.size_bytes) == (2, 30)
    assert [(one.name, one.position, one.nullable, one.comment) for one in keyed.columns] == [
        ("z", 1, False, "who"),
        ("id", 2, False, None),
        ("day", 3, True, None),
    ]
    assert (seen.kind, seen.primary_key, seen.comment) == ("view", (), None)
    assert (seen.row_count, seen.size_bytes) == (None, None)
    assert [one.name for one in seen.columns] == ["id"]


def test_dataset_that_may_not_be_seen_is_left_out(
    connector: Connector, by_dataset: Connector, endpoints: dict[str, Any]
) -> None:
    denied = endpoints["bigquery"]["denied_dataset"]
    for one in (connector, by_dataset):
        assert denied not in {table.schema for table in one.fetch_tables()}
        with pytest.raises(PermissionDenied):
            one.fetch_tables(denied)


def test_location_elsewhere_has_no_tables(opened: Callable[..., Connector]) -> None:
    assert opened("bigquery", location="EU").fetch_tables() == []
    assert opened("bigquery", location="EU").fetch_tables("analytics") == []
    assert opened("bigquery", location="us").fetch_tables("analytics")


def asked(relay: Relay) -> dict[str, int]:
    """How often each call was made, but for how a job is doing, which is a matter of time."""
    found: dict[str, int] = {}
    for request in relay.requests:
        call = re.sub(r"/(jobs|tables)/[^/?]+|\?.*", r"/\1", request)
        if not call.startswith("GET /bigquery/v2/projects/sandbox-project/jobs"):
            found[call] = found.get(call, 0) + 1
    relay.requests.clear()
    return found


Calls = list[dict[str, int]]


@dataclass
class Listed:
    """What an account was listed, by how many calls with one table and with many."""

    few: Calls
    many: Calls
    paged: list[Table]


@pytest.fixture(scope="module")
def listings(
    run: Run,
    credentials: dict[str, Any],
    endpoints: dict[str, Any],
    loopback: NetworkPolicy,
    private_name: str,
) -> Iterator[dict[str, Listed]]:
    """Listings of both accounts over one dataset, while it grows from one table to MANY."""
    there, dataset, found = endpoints["bigquery"], f"{private_name}_many", {}
    run(f"CREATE SCHEMA {dataset}")
    run(f"CREATE TABLE {dataset}.t_000 (a INT64, b STRING)")
    with ExitStack() as stack:
        relay = stack.enter_context(Relay(there["api_endpoint"]))
        connectors = {
            account: stack.enter_context(
                connect(
                    "bigquery",
                    credentials["bigquery"]
                    | {"api_endpoint": relay.url, "service_account_json": there[account]},
                    network=loopback,
                    context=JobContext(team=dataset),
                )
            )
            for account in ACCOUNTS
        }
        few = {account: verbs(one, dataset, relay) for account, one in connectors.items()}
        make(there, dataset)
        for account, one in connectors.items():
            many = verbs(one, dataset, relay)
            found[account] = Listed(few[account], many, pages(one, dataset))
    yield found
    run(f"DROP SCHEMA {dataset} CASCADE")


@pytest.mark.parametrize("account", ACCOUNTS)
def test_calls_are_the_same_for_any_number_of_tables(
    listings: dict[str, Listed], account: str
) -> None:
    found = listings[account]
    assert found.few == found.many
    assert [table.name for table in found.paged] == [f"t_{number:03}" for number in range(MANY)]
    assert {tuple(one.name for one in table.columns) for table in found.paged} == {("a", "b")}


def test_each_statement_of_a_listing_is_billed_the_minimum(
    run: Run, listings: dict[str, Listed], private_name: str
) -> None:
    rows = run(
        "SELECT total_bytes_billed AS billed FROM `region-us`.INFORMATION_SCHEMA.JOBS, "
        f"UNNEST(labels) AS label WHERE label.key = 'team' AND label.value = '{private_name}_many' "
        "AND error_result IS NULL"
    )
    assert {row[0] for row in rows} == {TEN_MIB}


def verbs(connector: Connector, dataset: str, relay: Relay) -> Calls:
    connector.fetch_tables(dataset)
    relay.requests.clear()
    connector.fetch_tables(dataset)
    of_one = asked(relay)
    connector.fetch_tables()
    return [of_one, asked(relay)]


def make(there: dict[str, Any], dataset: str) -> None:
    schema = [bigquery.SchemaField("a", "INT64"), bigquery.SchemaField("b", "STRING")]
    owner = client_for(there, "admin_service_account")
    for number in range(1, MANY):
        owner.create_table(bigquery.Table(f"{owner.project}.{dataset}.t_{number:03}", schema))
    owner.close()


def pages(connector: Connector, dataset: str) -> list[Table]:
    found: list[Table] = []
    while page := connector.fetch_tables(
        dataset, after=(found[-1].schema, found[-1].name) if found else None, limit=100
    ):
        found += page
    return found
