"""`…/warehouse_connections/<id>/synced_tables/`: tables into sync and out of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from etl import runner, tasks
from etl.models import Pipeline, PipelineRun
from tests.api.shapes import problem
from warehouse import connections, synced
from warehouse.connections import Draft
from warehouse.models import Team, WarehouseConnection
from warehouse.store import client

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_store")]

Clients = Callable[[str], APIClient]
WISH = {"schema": "public", "table": "records"}


@pytest.fixture
def url(
    connections_url: str, source: WarehouseConnection, team: Team, records: Callable[[int], None]
) -> Iterator[str]:
    yield f"{connections_url}{source.pk}/synced_tables/"
    client.drop_database(team.pk)


def test_table_goes_into_sync_and_out_again(
    alice: APIClient, url: str, records: Callable[[int], None], team: Team
) -> None:
    records(10)
    made = alice.post(url, {**WISH, "schedule": "0 2 * * *"})
    assert made.status_code == 201, made.json()
    one = f"{url}{made.json()['id']}/"
    shown = made.json()
    assert (shown["how"], shown["rows"], shown["as_of"], shown["last_status"]) == (
        *("full", None, None, "queued"),
    )
    runner.execute(PipelineRun.objects.get().pk)
    (shown,) = alice.get(url).json()
    assert (shown["rows"], shown["last_status"], shown["last_error"]) == (10, "succeeded", "")
    assert shown["lag_s"] < 60
    assert alice.get(one).json()["pipeline"] == str(Pipeline.all_teams.get().pk)
    again = alice.post(f"{one}run/")
    assert (again.status_code, again.json()["status"]) == (202, "queued")
    said = alice.get(f"{one}explain_removal/").json()["steps"][0]
    assert said.startswith("The store's copy of public.records is dropped: 10 rows")
    assert alice.delete(one).status_code == 204
    assert (alice.get(url).json(), synced.store_tables(team)) == ([], [])
    tasks.tidy_store(str(team.pk))
    assert not Pipeline.all_teams.exists()


def test_what_will_happen_is_said_and_nothing_is_done(alice: APIClient, url: str) -> None:
    said = alice.post(f"{url}explain/", WISH).json()
    assert said["faults"] == {}
    assert "copied from Postgres into the team's store: now." in said["steps"][0]
    said = alice.post(f"{url}explain/", {**WISH, "how": "cursor", "schedule": "tomorrow"}).json()
    assert sorted(said["faults"]) == ["how", "schedule"]
    assert not Pipeline.all_teams.exists()


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"how": "cursor"}, "how"),
        ({"how": "magic"}, "how"),
        ({"schedule": "tomorrow"}, "schedule"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_wish_names_its_field(
    alice: APIClient, url: str, wish: dict[str, Any], field: str
) -> None:
    answer = alice.post(url, {**WISH, **wish})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
    assert not Pipeline.all_teams.exists()


@pytest.mark.parametrize("route", ["synced_tables/", "table_modes/"])
@pytest.mark.parametrize(
    ("wish", "field", "near"),
    [
        ({"table": "recrods"}, "table", "public.records"),
        ({"schema": "pubilc"}, "table", "public.records"),
        ({"how": "cursor", "cursor_column": "updated"}, "cursor_column", "updated_at"),
        ({"key_columns": ["tenants"]}, "key_columns", "tenant"),
        ({"columns": ["key", "ammount"]}, "columns", "amount"),
    ],
)
def test_what_the_warehouse_does_not_have_is_refused_with_what_is_like_it(
    alice: APIClient, url: str, route: str, wish: dict[str, Any], field: str, near: str
) -> None:
    body = {**WISH, **wish} | ({"mode": "sync"} if route == "table_modes/" else {})
    found = problem(alice.post(url.replace("synced_tables/", route), body), 400, "invalid_input")
    assert list(found["fields"]) == [field]
    assert f"Did you mean {near}" in found["fields"][field]
    assert not Pipeline.all_teams.exists()


@pytest.mark.parametrize(
    ("route", "more"), [("synced_tables", {}), ("table_modes", {"mode": "hybrid"})]
)
def test_warehouse_that_cannot_be_asked_may_be_asked_again(
    alice: APIClient, team: Team, connections_url: str, credentials: dict[str, Any],
    settings: Any, route: str, more: dict[str, str],
) -> None:  # fmt: skip
    settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS = ["127.0.0.0/8"]
    form = credentials["postgres"] | {"port": 1}
    draft = Draft.of(name="shut", provider="postgres", credentials=form)
    shut = connections.create(team, None, draft)
    answer = alice.post(f"{connections_url}{shut.pk}/{route}/", {**WISH, **more})
    assert problem(answer, 502, "host_unreachable")["retryable"]
    assert not Pipeline.all_teams.exists()


def test_table_is_in_sync_once(alice: APIClient, url: str) -> None:
    assert alice.post(url, WISH).status_code == 201
    again = alice.post(url, WISH)
    assert (again.status_code, list(again.json()["fields"])) == (400, ["table"])


@pytest.mark.parametrize(
    ("who", "read", "write"),
    [("alice", 200, 201), ("bob", 200, 403), ("vera", 200, 403), ("charlie", 404, 404)],
)
def test_roles(client_of: Clients, url: str, who: str, read: int, write: int) -> None:
    assert client_of(who).get(url).status_code == read
    assert client_of(who).post(f"{url}explain/", WISH).status_code == read
    assert client_of(who).post(url, WISH).status_code == write


def test_connection_of_another_team_does_not_exist(
    alice: APIClient, url: str, source: WarehouseConnection, other_team: Team
) -> None:
    source.team = other_team
    source.save()
    assert (alice.get(url).status_code, alice.post(url, WISH).status_code) == (404, 404)


def test_pipeline_without_a_destination_is_one_into_the_store(
    alice: APIClient, url: str, team: Team, source: WarehouseConnection
) -> None:
    body = {
        "name": "both",
        "source": str(source.pk),
        "destination": None,
        "tables": [{"source_table": "a"}, {"source_table": "b", "mode": "full"}],
    }
    pipelines_url = f"/api/environments/{team.pk}/pipelines/"
    made = alice.post(pipelines_url, body)
    assert (made.status_code, made.json()["destination"]) == (201, None)
    shown = alice.get(url).json()
    assert [(one["table"], one["how"]) for one in shown] == [("a", "xid"), ("b", "full")]
    assert alice.delete(f"{url}{shown[0]['id']}/").status_code == 204
    assert [one["table"] for one in alice.get(url).json()] == ["b"]
    odd = alice.post(pipelines_url, {**body, "name": "odd", "destination_schema": "PUBLIC"})
    assert list(odd.json()["fields"]) == ["destination_schema"]
