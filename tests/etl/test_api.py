"""`/api/environments/<team_id>/pipelines/`."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from etl import runner
from etl.models import Pipeline, PipelineRun, RunStatus
from warehouse.models import Team, WarehouseConnection

pytestmark = pytest.mark.django_db

Clients = Callable[[str], APIClient]


@pytest.fixture
def url(team: Team) -> str:
    return f"/api/environments/{team.pk}/pipelines/"


@pytest.fixture
def body(source: WarehouseConnection, destination: WarehouseConnection) -> dict[str, Any]:
    return {
        "name": "nightly",
        "source": str(source.pk),
        "destination": str(destination.pk),
        "destination_schema": "PUBLIC",
        "stage": "ETL_STAGE",
        "schedule": "0 2 * * *",
        "tables": [{"source_table": "records"}],
    }


def test_pipeline_is_made_read_changed_and_deleted(
    alice: APIClient, url: str, body: dict[str, Any]
) -> None:
    made = alice.post(url, body)
    assert made.status_code == 201, made.content
    assert made.json()["tables"][0]["destination_table"] == "RECORDS"
    one = f"{url}{made.json()['id']}/"
    assert alice.get(one).json()["schedule"] == "0 2 * * *"
    assert alice.get(one).json()["max_source_load"] == 1
    assert alice.patch(one, {"schedule": ""}).json()["schedule"] == ""
    assert alice.patch(one, {"max_source_load": 4}).json()["max_source_load"] == 4
    assert alice.get(one).json()["contract"] == "evolve"
    assert alice.patch(one, {"contract": "freeze"}).json()["contract"] == "freeze"
    assert [p["id"] for p in alice.get(url).json()["results"]] == [made.json()["id"]]
    assert alice.delete(one).status_code == 204
    assert alice.get(one).status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stage": ""}, "stage"),
        ({"tables": []}, "tables"),
        ({"tables": [{"table": "x"}]}, "tables.0.table"),
        ({"tables": [{}]}, "tables.0.source_table"),
        ({"schedule": "tomorrow"}, "schedule"),
        ({"source": "00000000-0000-0000-0000-000000000000"}, "source"),
        ({"max_source_load": 0}, "max_source_load"),
        ({"max_source_load": 33}, "max_source_load"),
        ({"colour": "red"}, "colour"),
        ({"contract": "loose"}, "contract"),
    ],
)
def test_bad_input_names_its_field_and_saves_nothing(
    alice: APIClient, url: str, body: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    answer = alice.post(url, {**body, **changes})
    assert answer.status_code == 400
    assert field in answer.json()["fields"], answer.json()
    assert not Pipeline.all_teams.exists()


def test_connection_of_another_team_does_not_exist(
    alice: APIClient, url: str, body: dict[str, Any], other_team: Team, source: WarehouseConnection
) -> None:
    source.team = other_team
    source.save()
    answer = alice.post(url, body)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["source"])


@pytest.mark.parametrize(
    ("who", "read", "write"),
    [("alice", 200, 202), ("bob", 200, 403), ("vera", 200, 403), ("charlie", 404, 404)],
)
def test_roles(
    client_of: Clients, url: str, pipeline: Pipeline, who: str, read: int, write: int
) -> None:
    client, one = client_of(who), f"{url}{pipeline.pk}/"
    assert client.get(one).status_code == read
    assert client.get(f"{one}runs/").status_code == read
    assert client.post(f"{one}run/").status_code == write
    assert client.patch(one, {"name": "x"}).status_code == {202: 200}.get(write, write)


def test_second_run_is_refused_while_one_is_open(
    alice: APIClient, url: str, pipeline: Pipeline
) -> None:
    run = f"{url}{pipeline.pk}/run/"
    assert alice.post(run).status_code == 202
    again = alice.post(run)
    assert (again.status_code, again.json()["code"]) == (409, "run_in_progress")


@pytest.mark.django_db(transaction=True)
def test_runs_show_what_was_moved(
    alice: APIClient, url: str, pipeline: Pipeline, records: Callable[[int], None]
) -> None:
    records(100)
    queued = alice.post(f"{url}{pipeline.pk}/run/").json()
    assert queued["status"] == "queued"
    runner.execute(queued["id"])
    shown = alice.get(f"{url}{pipeline.pk}/runs/").json()["results"][0]
    assert (shown["status"], shown["error"]) == ("succeeded", "")
    table = shown["tables"][0]
    assert (table["table"], table["step"]) == ("public.records", "done")
    assert (table["rows"], table["rows_in_target"]) == (100, 100)
    assert (table["chunks"], table["chunks_staged"]) == (1, 1)
    assert PipelineRun.objects.get().status == RunStatus.SUCCEEDED


def test_change_of_tables_fills_in_what_is_left_out(
    alice: APIClient, url: str, pipeline: Pipeline
) -> None:
    one = f"{url}{pipeline.pk}/"
    tables = alice.patch(one, {"tables": [{"source_table": "orders"}]}).json()["tables"]
    assert [(t["source_schema"], t["destination_table"]) for t in tables] == [("public", "ORDERS")]
    answer = alice.patch(one, {"tables": [{}]})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["tables.0.source_table"])


def test_settings_of_a_table_are_made_shown_and_changed(
    alice: APIClient, url: str, body: dict[str, Any]
) -> None:
    table = {
        "source_table": "records",
        "mode": "cursor",
        "cursor_column": "updated_at",
        "sweep_hours": 6,
        "deletes": "compared",
        "delete_limit_percent": 25,
    }
    made = alice.post(url, {**body, "tables": [table]})
    assert made.status_code == 201, made.content
    shown = made.json()["tables"][0]
    assert {name: shown[name] for name in table} == table
    one = f"{url}{made.json()['id']}/"
    changed = alice.patch(one, {"tables": [table | {"sweep_hours": 0, "deletes": "kept"}]})
    assert changed.json()["tables"][0]["sweep_hours"] == 0
    assert changed.json()["tables"][0]["deletes"] == "kept"


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({"mode": "cursor"}, "tables"),
        ({"cursor_column": "updated_at"}, "tables"),
        ({"mode": "append", "deletes": "compared"}, "tables"),
        ({"deletes": "all"}, "tables.0.deletes"),
        ({"delete_limit_percent": 101}, "tables.0.delete_limit_percent"),
        ({"delete_limit_percent": -1}, "tables.0.delete_limit_percent"),
        ({"sweep_hours": -1}, "tables.0.sweep_hours"),
        ({"sweep_hours": 100_000}, "tables.0.sweep_hours"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    alice: APIClient, url: str, body: dict[str, Any], table: dict[str, Any], field: str
) -> None:
    answer = alice.post(url, {**body, "tables": [{"source_table": "records", **table}]})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
    assert not Pipeline.all_teams.exists()


def test_transactions_seen_are_not_shown(alice: APIClient, url: str, pipeline: Pipeline) -> None:
    mark = {"snapshot": "1:9:", "origin": "x", "rows": 3}
    pipeline.tables.update(watermark=mark | {"seen": "2,3,5"})
    assert alice.get(f"{url}{pipeline.pk}/").json()["tables"][0]["watermark"] == mark


def test_tables_do_not_change_under_a_run(alice: APIClient, url: str, pipeline: Pipeline) -> None:
    alice.post(f"{url}{pipeline.pk}/run/")
    answer = alice.patch(f"{url}{pipeline.pk}/", {"tables": [{"source_table": "orders"}]})
    assert (answer.status_code, answer.json()["code"]) == (409, "run_in_progress")
