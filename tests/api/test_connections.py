"""`/warehouse_connections/`: create, list, read, change, test and delete."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection as database
from django.utils import timezone
from rest_framework.test import APIClient

from etl import pipelines
from etl.models import Pipeline
from etl.pipelines import TableSpec
from tests.api.shapes import problem
from warehouse.models import Team, WarehouseConnection

pytestmark = pytest.mark.django_db

Save = Callable[..., WarehouseConnection]

SHOWN = {
    *("id", "name", "provider", "mode", "target", "config", "is_active", "is_default"),
    *(
        "created_by",
        "created_at",
        "updated_at",
        "last_tested_at",
        "last_test_status",
        "last_test_error",
    ),
}


def stored(connection: WarehouseConnection) -> WarehouseConnection:
    return WarehouseConnection.all_teams.get(pk=connection.pk)


def test_created_connection_is_shown_without_its_credentials(
    alice: APIClient, connections_url: str, body: dict[str, Any]
) -> None:
    answer = alice.post(connections_url, body)
    shown = answer.json()
    assert answer.status_code == 201
    assert set(shown) == SHOWN
    assert shown["name"] == "shop"
    assert shown["mode"] == "direct"
    assert shown["created_by"] == "alice"
    assert shown["is_active"] is True
    assert (shown["last_test_status"], shown["last_tested_at"]) == ("never_tested", None)
    assert shown["target"] == "{host}:{port}/{database}".format(**body["credentials"])
    assert body["credentials"]["password"] not in answer.content.decode()
    assert alice.get(f"{connections_url}{shown['id']}/").json() == shown
    assert alice.get(connections_url).json()["results"] == [shown]


def test_created_connection_is_stored_encrypted(
    alice: APIClient, connections_url: str, body: dict[str, Any]
) -> None:
    made = alice.post(connections_url, body).json()
    row = WarehouseConnection.all_teams.values().get(pk=made["id"])
    secret = body["credentials"]["password"]
    assert secret not in json.dumps(row, default=str)
    read_back = WarehouseConnection.all_teams.get(pk=made["id"]).read_credentials()
    assert read_back["password"] == secret


@pytest.mark.parametrize("provider", ["postgres", "snowflake", "bigquery"])
def test_every_provider_can_be_saved(
    alice: APIClient, connections_url: str, credentials: dict[str, Any], provider: str
) -> None:
    body = {"name": "mine", "provider": provider, "credentials": credentials[provider]}
    answer = alice.post(connections_url, body | {"mode": "hybrid", "config": {"max_rows": 5}})
    assert answer.status_code == 201, answer.json()
    assert answer.json()["mode"] == "hybrid"
    assert answer.json()["config"] == {"max_rows": 5}


def test_renaming_keeps_the_credentials_and_the_last_test(
    alice: APIClient, shop: WarehouseConnection, shop_url: str
) -> None:
    assert alice.post(f"{shop_url}test/").json()["ok"]
    answer = alice.patch(shop_url, {"name": "store", "mode": "sync", "config": {"timeout_s": 9}})
    assert answer.status_code == 200
    assert answer.json()["name"] == "store"
    assert answer.json()["config"] == {"timeout_s": 9}
    assert answer.json()["last_test_status"] == "passed"
    assert stored(shop).encrypted_credentials == shop.encrypted_credentials


def test_secret_left_out_of_a_change_is_kept_and_still_works(
    alice: APIClient, shop: WarehouseConnection, shop_url: str, credentials: dict[str, Any]
) -> None:
    answer = alice.patch(shop_url, {"credentials": {"database": "postgres"}})
    assert answer.status_code == 200
    assert stored(shop).read_credentials() == credentials["postgres"] | {
        "database": "postgres",
        "sslmode": "prefer",
    }
    assert alice.post(f"{shop_url}test/").json()["ok"]


def test_null_takes_an_optional_credential_away(
    alice: APIClient, save: Save, connections_url: str
) -> None:
    lake = save("snowflake", role="REPORTER")
    url = f"{connections_url}{lake.pk}/"
    assert alice.patch(url, {"credentials": {"role": None}}).status_code == 200
    assert "role" not in stored(lake).read_credentials()
    body = problem(
        alice.patch(url, {"credentials": {"database": None}}), 400, "invalid_credentials"
    )
    assert body["fields"] == {"credentials.database": "This field is required."}
    assert "database" in stored(lake).read_credentials()


def test_new_credentials_make_the_last_test_void(
    alice: APIClient, shop: WarehouseConnection, shop_url: str
) -> None:
    alice.post(f"{shop_url}test/")
    shown = alice.patch(shop_url, {"credentials": {"database": "postgres"}}).json()
    assert (shown["last_test_status"], shown["last_tested_at"]) == ("never_tested", None)


def test_unreadable_credentials_can_be_replaced_and_the_rest_changed(
    alice: APIClient, shop: WarehouseConnection, shop_url: str, credentials: dict[str, Any]
) -> None:
    WarehouseConnection.all_teams.filter(pk=shop.pk).update(encrypted_credentials="{}")
    problem(alice.post(f"{shop_url}test/"), 503, "credentials_unreadable")
    assert alice.patch(shop_url, {"is_active": False, "name": "broken"}).status_code == 200
    assert alice.patch(shop_url, {"credentials": credentials["postgres"]}).status_code == 200
    assert alice.post(f"{shop_url}test/").json()["ok"]


def test_name_is_taken_once_in_a_team_and_free_in_another(
    alice: APIClient,
    connections_url: str,
    body: dict[str, Any],
    save: Save,
    other_team: Team,
) -> None:
    save(name="shop", of=other_team)
    assert alice.post(connections_url, body).status_code == 201
    found = problem(alice.post(connections_url, body), 409, "name_taken")
    assert set(found["fields"]) == {"name"}
    second = alice.post(connections_url, body | {"name": "second"}).json()
    answer = alice.patch(f"{connections_url}{second['id']}/", {"name": "shop"})
    problem(answer, 409, "name_taken")


@pytest.mark.django_db(transaction=True)
def test_of_two_that_take_a_name_at_once_one_is_told(
    client_of: Callable[[str], APIClient], connections_url: str, body: dict[str, Any]
) -> None:
    answers: list[int] = []
    gate = threading.Barrier(2)

    def create(client: APIClient) -> None:
        gate.wait()
        try:
            answers.append(client.post(connections_url, body).status_code)
        finally:
            database.close()

    threads = [threading.Thread(target=create, args=[client_of("alice")]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 409]


def test_lists_are_filtered(alice: APIClient, save: Save, connections_url: str) -> None:
    save("postgres", "a")
    save("snowflake", "b")
    paused = save("postgres", "c")
    alice.patch(f"{connections_url}{paused.pk}/", {"is_active": False, "mode": "sync"})

    def names(query: str) -> set[str]:
        answer = alice.get(f"{connections_url}?{query}")
        assert answer.status_code == 200, answer.json()
        return {row["name"] for row in answer.json()["results"]}

    assert names("provider=postgres") == {"a", "c"}
    assert names("is_active=false") == {"c"}
    assert names("mode=direct") == {"a", "b"}
    assert names("last_test_status=never_tested") == {"a", "b", "c"}
    assert names("last_test_status=failed") == set()
    found = problem(alice.get(f"{connections_url}?mode=sideways"), 400, "invalid_input")
    assert set(found["fields"]) == {"mode"}
    found = problem(alice.get(f"{connections_url}?name=a"), 400, "invalid_input")
    assert "provider" in found["fields"]["name"]


def test_pages_follow_cursors_newest_first(
    alice: APIClient, shop: WarehouseConnection, connections_url: str, team: Team
) -> None:
    WarehouseConnection.all_teams.bulk_create(
        WarehouseConnection(team=team, name=f"n{i}", provider="postgres", target="t")
        for i in range(6)
    )
    same_moment = timezone.now()
    WarehouseConnection.all_teams.filter(name__in=["n1", "n2", "n3"]).update(created_at=same_moment)
    seen: list[str] = []
    url = f"{connections_url}?page_size=2"
    while url:
        page = alice.get(url).json()
        seen += [row["name"] for row in page["results"]]
        url = page["next"]
    assert sorted(seen) == sorted(["shop", *(f"n{i}" for i in range(6))])
    assert seen[-1] == "shop"
    found = problem(alice.get(f"{connections_url}?cursor=nonsense"), 400, "invalid_input")
    assert set(found["fields"]) == {"cursor"}


def test_paused_connection_runs_nothing_until_it_is_resumed(
    alice: APIClient, shop_url: str
) -> None:
    assert alice.patch(shop_url, {"is_active": False}).json()["is_active"] is False
    for verb in ("query", "estimate_cost"):
        answer = alice.post(f"{shop_url}{verb}/", {"sql": "SELECT 1"})
        problem(answer, 400, "connection_paused")
    problem(alice.get(f"{shop_url}schema/"), 400, "connection_paused")
    alice.patch(shop_url, {"is_active": True})
    assert alice.post(f"{shop_url}query/", {"sql": "SELECT 1"}).status_code == 200


def test_deleted_connection_is_gone(
    alice: APIClient, shop: WarehouseConnection, shop_url: str
) -> None:
    answer = alice.delete(shop_url)
    assert (answer.status_code, answer.content) == (204, b"")
    problem(alice.get(shop_url), 404, "not_found")
    assert not WarehouseConnection.all_teams.filter(pk=shop.pk).exists()


def test_connection_that_a_pipeline_uses_is_not_deleted(
    alice: APIClient, save: Save, shop: WarehouseConnection, shop_url: str, team: Team
) -> None:
    nightly = Pipeline(
        team=team,
        name="nightly",
        source=shop,
        destination=save("snowflake"),
        destination_schema="PUBLIC",
        stage="ETL_STAGE",
    )
    pipelines.create(nightly, [TableSpec("public", "orders")])
    problem(alice.delete(shop_url), 409, "connection_in_use")
    pipelines.delete(nightly)
    assert alice.delete(shop_url).status_code == 204


@pytest.mark.parametrize("pk", ["0b7e3c1e-0000-4000-8000-000000000000", "1", "shop", "..%2f"])
def test_connection_that_does_not_exist_is_not_found(
    alice: APIClient, connections_url: str, pk: str
) -> None:
    problem(alice.get(f"{connections_url}{pk}/"), 404, "not_found")


@pytest.mark.parametrize("field", ["host", "port"])
def test_stored_secret_does_not_follow_to_another_destination(
    alice: APIClient, connections_url: str, save: Save, field: str
) -> None:
    connection = save()
    before = connection.read_credentials()
    elsewhere = {"host": "db.example.com", "port": 6432}[field]
    answer = alice.patch(f"{connections_url}{connection.pk}/", {"credentials": {field: elsewhere}})
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == ["credentials.password"]
    connection.refresh_from_db()
    assert connection.read_credentials() == before

    with_secret = {"credentials": {field: elsewhere, "password": "entered again"}}
    assert alice.patch(f"{connections_url}{connection.pk}/", with_secret).status_code == 200
