"""Who may call which route, with which proof of who they are."""

import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from knox.models import AuthToken
from rest_framework.test import APIClient

from api.urls import router
from etl import channels, pipelines, saved_views
from etl.models import AlertChannel, ChannelKind, Pipeline, ReadMode, RunStatus, Trigger
from etl.pipelines import TableSpec
from tests.api.routes import (
    CHANNELS,
    CONNECTIONS,
    JOINS,
    PIPELINES,
    QUERIES,
    ROUTES,
    SYNCED,
    VIEWS,
    Route,
)
from tests.api.shapes import problem
from warehouse.models import Membership, QueryRun, TableJoin, Team, View, WarehouseConnection

pytestmark = pytest.mark.django_db

Save = Callable[..., WarehouseConnection]
Clients = Callable[[str], APIClient]

RANK = {"vera": 1, "bob": 2, "alice": 3}
ON_ONE_ROW = [route for route in ROUTES if "<pk>" in route.path]
every_route = pytest.mark.parametrize("route", ROUTES, ids=str)
every_route_to_a_row = pytest.mark.parametrize("route", ON_ONE_ROW, ids=str)


@pytest.fixture
def rows(save: Save, team: Team, people: SimpleNamespace) -> dict[str, Any]:
    """A row of the team for each kind of route; the connection is not the pipeline's."""
    nightly = Pipeline(
        team=team,
        name="nightly",
        source=save(name="source"),
        destination=save("snowflake"),
        destination_schema="PUBLIC",
        stage="ETL_STAGE",
    )
    pipelines.create(nightly, [TableSpec("public", "orders")])
    kept = pipelines.create(
        Pipeline(team=team, name="kept", source=nightly.source),
        [TableSpec("public", "orders", mode=ReadMode.FULL)],
    )
    ended = nightly.runs.create(trigger=Trigger.API, status=RunStatus.FAILED)
    told = channels.create(
        AlertChannel(team=team, kind=ChannelKind.EMAIL),
        {"name": "us", "address": "us@example.com", "events": ["failed"]},
    )
    daily = View(team=team, name="daily", query="SELECT 1 AS one", is_materialized=True)
    joined = TableJoin.objects.for_team(team).create(
        team=team, table="events", field="sold", joined_table="shop.public.orders", keys=[]
    )
    return {
        VIEWS: saved_views.create(daily).pk,
        CONNECTIONS: save(name="shop").pk,
        PIPELINES: nightly.pk,
        CHANNELS: told.pk,
        QUERIES: QueryRun.all_teams.create(team=team, user=people.bob, text="SELECT 1").pk,
        JOINS: joined.pk,
        SYNCED: kept.tables.get().pk,
        "connection": kept.source_id,
        "run": ended.pk,
    }


def call(client: APIClient, team_id: Any, route: Route, rows: dict[str, Any]) -> Any:
    kind, _, rest = route.path.partition("<pk>")
    path = route.path if not rest else f"{kind}{rows[kind]}{rest}"
    for name in ("run", "connection"):
        path = path.replace(f"<{name}_id>", str(rows[name]))
    return client.generic(
        route.method,
        f"/api/environments/{team_id}/{path}",
        "" if route.body is None else json.dumps(route.body),
        content_type="application/json",
    )


def test_matrix_has_every_route() -> None:
    there_are = {
        f"{method.upper()} {str(url.pattern).replace('<uuid:', '<').replace('<int:', '<')}"
        for url in router.urls
        for method in url.callback.actions
        if method != "head"
    }
    assert there_are == {str(route) for route in ROUTES}


@every_route
def test_role_decides(client_of: Clients, team: Team, rows: dict[str, Any], route: Route) -> None:
    problem(call(APIClient(), team.pk, route, rows), 401, "not_authenticated")
    problem(call(client_of("charlie"), team.pk, route, rows), 404, "not_found")
    for name, rank in RANK.items():
        answer = call(client_of(name), team.pk, route, rows)
        if rank < route.least:
            problem(answer, 403, "forbidden")
        else:
            assert answer.status_code in (200, 201, 202, 204, 400, 409, 410), (name, answer.content)


@every_route_to_a_row
def test_own_row_is_not_found_in_a_foreign_team(
    alice: APIClient, other_team: Team, rows: dict[str, Any], route: Route
) -> None:
    problem(call(alice, other_team.pk, route, rows), 404, "not_found")


@every_route_to_a_row
def test_foreign_row_is_not_found_in_the_own_team(
    client_of: Clients, other_team: Team, rows: dict[str, Any], route: Route
) -> None:
    problem(call(client_of("charlie"), other_team.pk, route, rows), 404, "not_found")


def test_lists_hold_only_the_own_team(
    client_of: Clients, other_team: Team, rows: dict[str, Any]
) -> None:
    for path in (CONNECTIONS, PIPELINES, VIEWS):
        answer = client_of("charlie").get(f"/api/environments/{other_team.pk}/{path}")
        assert answer.json()["results"] == []


def test_foreign_connection_cannot_be_part_of_an_own_pipeline(
    client_of: Clients, other_team: Team, rows: dict[str, Any]
) -> None:
    body = {
        "name": "theft",
        "source": str(rows[CONNECTIONS]),
        "destination": str(rows[CONNECTIONS]),
        "destination_schema": "PUBLIC",
        "stage": "ETL_STAGE",
        "tables": [{"source_table": "orders"}],
    }
    url = f"/api/environments/{other_team.pk}/{PIPELINES}"
    found = problem(client_of("charlie").post(url, body), 400, "invalid_input")
    assert set(found["fields"]) == {"source", "destination"}


@pytest.mark.parametrize(
    "team_id", ["1", "acme", "0b7e3c1e-0000-4000-8000-000000000000", "%00", "..", "' OR 1=1 --"]
)
def test_team_that_does_not_exist_is_not_found(alice: APIClient, team_id: str) -> None:
    problem(alice.get(f"/api/environments/{team_id}/{CONNECTIONS}"), 404, "not_found")


def test_role_ends_with_the_membership(
    alice: APIClient, people: SimpleNamespace, connections_url: str
) -> None:
    assert alice.get(connections_url).status_code == 200
    Membership.all_teams.filter(user=people.alice).delete()
    problem(alice.get(connections_url), 404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE"])
def test_method_that_no_route_has_is_told_so_whatever_the_role(
    client_of: Clients, connections_url: str, method: str
) -> None:
    for name in RANK:
        answer = client_of(name).generic(method, connections_url)
        problem(answer, 405, "method_not_allowed")
        assert set(answer["Allow"].split(", ")) == {"GET", "POST", "HEAD"}


def test_token_is_stored_as_a_hash_only(people: SimpleNamespace) -> None:
    _, token = AuthToken.objects.create(people.alice)
    row = AuthToken.objects.values().get(user=people.alice)
    assert all(token not in str(value) for value in row.values())
    assert len(row["digest"]) == 128


@pytest.fixture
def with_header(connections_url: str) -> Callable[[str], Any]:
    return lambda header: APIClient().get(connections_url, headers={"Authorization": header})


def test_token_counts_until_it_expires_is_deleted_or_its_user_goes(
    people: SimpleNamespace, with_header: Callable[[str], Any]
) -> None:
    _, expired = AuthToken.objects.create(people.alice, expiry=timedelta(seconds=-1))
    problem(with_header(f"Bearer {expired}"), 401, "token_invalid")
    row, deleted = AuthToken.objects.create(people.alice)
    assert with_header(f"Bearer {deleted}").status_code == 200
    row.delete()
    problem(with_header(f"Bearer {deleted}"), 401, "token_invalid")
    _, orphaned = AuthToken.objects.create(people.bob)
    people.bob.is_active = False
    people.bob.save()
    problem(with_header(f"Bearer {orphaned}"), 401, "token_invalid")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Bearer", "token_invalid"),
        ("Bearer not-a-token", "token_invalid"),
        ("Bearer two words", "token_invalid"),
        ("Bearer ÿ", "token_invalid"),
        ("Basic YWxpY2U6eA==", "not_authenticated"),
    ],
)
def test_header_that_proves_nothing_is_refused(
    people: SimpleNamespace, with_header: Callable[[str], Any], header: str, code: str
) -> None:
    answer = with_header(header)
    problem(answer, 401, code)
    assert answer["WWW-Authenticate"] == "Bearer"


def test_browser_session_reads_freely_and_writes_with_its_csrf_token(
    people: SimpleNamespace, connections_url: str
) -> None:
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(people.alice)
    assert browser.get(connections_url).status_code == 200
    problem(browser.post(connections_url, {}), 403, "forbidden")
    browser.cookies["csrftoken"] = "c" * 32
    answer = browser.post(connections_url, {}, headers={"X-CSRFToken": "c" * 32})
    problem(answer, 400, "invalid_input")
