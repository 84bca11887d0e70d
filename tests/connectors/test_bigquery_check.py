"""What a check of BigQuery looks at, beyond the contract: project, dataset, location, writing."""

from collections.abc import Callable
from typing import Any

import pytest

from connectors import Connector
from connectors.errors import ResourceUnusable
from connectors.types import Step
from sandbox.services.bigquery import client_for

Opened = Callable[..., Connector]


def steps(connector: Connector) -> dict[str, Step]:
    return {step.name: step for step in connector.check().steps}


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"project": "no-such-project"}, "project", "Queries cannot be run"),
        ({"dataset": "no_such_dataset"}, "dataset", "does not exist"),
        ({"dataset": "restricted"}, "dataset", "may not read"),
        ({"location": "EU"}, "location", "lies in US"),
        ({"location": "nowhere"}, "location", "no such location"),
    ],
)
def test_what_cannot_be_used_fails_as_unusable_with_its_field(
    opened: Opened, changes: dict[str, Any], field: str, said: str
) -> None:
    connector = opened("bigquery", **changes)
    failure = connector.check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("usable", "resource_unusable")
    assert f"The {field} of this connection" in failure.detail
    assert said in failure.detail
    with connector._session(), pytest.raises(ResourceUnusable) as caught:
        connector._usable()
    assert set(caught.value.fields) == {field}


@pytest.mark.parametrize("location", ["US", "us", None])
def test_what_can_be_used_is_said(opened: Opened, location: str | None) -> None:
    step = steps(opened("bigquery", location=location))["usable"]
    assert step.detail == "project sandbox-project, dataset analytics, location US"


def test_without_a_dataset_nobody_can_tell_who_may_write(opened: Opened) -> None:
    found = steps(opened("bigquery", dataset=None))
    assert found["usable"].detail == "project sandbox-project"
    assert (found["write refused"].ok, found["write refused"].code) == (True, "")
    assert found["write refused"].detail.startswith("Not known")


def test_account_that_may_write_is_warned_about_and_nothing_is_written(
    opened: Opened, endpoints: dict[str, Any]
) -> None:
    there = endpoints["bigquery"]
    account = there["admin_service_account"]
    assert steps(opened("bigquery"))["write refused"].code == ""
    step = steps(opened("bigquery", service_account_json=account))["write refused"]
    assert (step.ok, step.code) == (True, "role_can_write")
    client = client_for(there, "admin_service_account")
    names = {table.table_id for table in client.list_tables("analytics")}
    client.close()
    assert "warehouse_write_check" not in names


def test_a_check_bills_nothing(opened: Opened, endpoints: dict[str, Any]) -> None:
    client = client_for(endpoints["bigquery"], "admin_service_account")
    before = {job.job_id for job in client.list_jobs(all_users=True)}
    assert opened("bigquery").check().ok
    made = [job for job in client.list_jobs(all_users=True) if job.job_id not in before]
    client.close()
    assert [job.query for job in made] == ["SELECT 1 AS one"]
    assert [job.total_bytes_billed for job in made] == [0]
