"""What holds below HTTP: the team's scope, roles, limits, and the check of stored rows."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.checks import Error
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection as database

from connectors.errors import InvalidInput
from warehouse import access, connection_config, connections, query_executor
from warehouse.access import MembershipPolicy, Role
from warehouse.checks import stored_credentials_can_be_read
from warehouse.errors import ConnectionPaused
from warehouse.limits import limits_for
from warehouse.models import Membership, Team, WarehouseConnection, team_model
from warehouse.statements import Statement

pytestmark = pytest.mark.django_db

Save = Callable[..., WarehouseConnection]


@pytest.mark.parametrize("model", [WarehouseConnection, Membership])
@pytest.mark.parametrize(
    "ask",
    [
        lambda rows: rows.all(),
        lambda rows: rows.filter(pk=1),
        lambda rows: rows.first(),
        lambda rows: rows.count(),
        lambda rows: rows.get(pk=1),
        lambda rows: rows.create(),
        lambda rows: rows.exists(),
    ],
    ids=["all", "filter", "first", "count", "get", "create", "exists"],
)
def test_rows_without_a_team_are_not_to_be_had(model: Any, ask: Callable[[Any], Any]) -> None:
    with pytest.raises(LookupError, match="needs a team: use for_team"):
        ask(model.objects)


def test_a_team_sees_its_own_rows_only(save: Save, team: Team, other_team: Team) -> None:
    mine, theirs = save(name="mine"), save(name="theirs", of=other_team)
    assert list(WarehouseConnection.objects.for_team(team)) == [mine]
    assert list(WarehouseConnection.objects.for_team(other_team.pk)) == [theirs]
    assert set(WarehouseConnection.all_teams.all()) == {mine, theirs}
    assert list(WarehouseConnection.objects.none()) == []


def test_things_say_their_names_and_nothing_more(
    shop: WarehouseConnection, team: Team, people: SimpleNamespace
) -> None:
    assert (str(shop), str(team)) == ("shop", "Acme")
    assert str(Membership.objects.for_team(team).get(user=people.bob)) == "bob (analyst)"
    assert "password" not in repr(shop)


def test_roles_come_from_memberships(team: Team, other_team: Team, people: SimpleNamespace) -> None:
    policy = MembershipPolicy()
    assert policy.role(people.alice, team) is Role.ADMIN
    assert policy.role(people.bob, team) is Role.ANALYST
    assert policy.role(people.vera, team) is Role.VIEWER
    assert policy.role(people.charlie, team) is None
    assert policy.role(people.alice, other_team) is None
    assert policy.role(AnonymousUser(), team) is None
    people.alice.is_active = False
    assert policy.role(people.alice, team) is None
    assert Role.VIEWER < Role.ANALYST < Role.ADMIN


def test_superuser_is_a_stranger_without_a_membership(team: Team, django_user_model: Any) -> None:
    root = django_user_model.objects.create_superuser("root", password="x")
    assert MembershipPolicy().role(root, team) is None


@pytest.mark.parametrize(
    "team_id", ["", "1", "acme", "0b7e3c1e-0000-4000-8000-000000000000", "\x00"]
)
def test_team_of_a_strange_id_is_none(team: Team, team_id: str) -> None:
    assert team_model() is Team
    assert MembershipPolicy().team(team_id) is None
    assert MembershipPolicy().team(str(team.pk)) == team


@pytest.mark.parametrize("path", ["nowhere.Policy", "warehouse.access.NoSuchPolicy", "nodots"])
def test_policy_that_is_not_there_is_told(settings: Any, path: str) -> None:
    settings.WAREHOUSE_ACCESS_POLICY = path
    with pytest.raises(ImproperlyConfigured, match="WAREHOUSE_ACCESS_POLICY"):
        access.policy.__wrapped__()


def test_network_that_is_none_is_told(settings: Any) -> None:
    settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS = ["10.0.0.0/99"]
    with pytest.raises(ImproperlyConfigured, match="WAREHOUSE_ALLOWED_PRIVATE_HOSTS"):
        connections.network_policy()


def test_setting_is_refused_where_the_provider_has_no_way_to_it() -> None:
    for provider, config in (
        ("redshift", {"joins_here": True}),
        ("postgres", {"max_bytes_scanned": 1}),
    ):
        with pytest.raises(InvalidInput) as caught:
            connection_config.checked(provider, config)
        assert set(caught.value.fields) == {f"config.{name}" for name in config}
    assert connection_config.checked("postgres", {"joins_here": True}) == {"joins_here": True}


@pytest.mark.parametrize(
    ("config", "asked", "timeout_s", "max_rows", "max_bytes"),
    [
        ({}, None, 60, 10_000, None),
        ({}, 5, 60, 5, None),
        ({"timeout_s": 300, "max_rows": 7, "max_bytes_scanned": 0}, None, 300, 7, 0),
        ({"max_rows": 50_000}, 20_000, 60, 10_000, None),
    ],
)
def test_tightest_limit_counts(
    shop: WarehouseConnection,
    config: dict[str, int],
    asked: int | None,
    timeout_s: float,
    max_rows: int,
    max_bytes: int | None,
) -> None:
    shop.config = config
    limits = limits_for(shop, asked)
    assert (limits.timeout_s, limits.max_rows, limits.max_bytes_scanned) == (
        timeout_s,
        max_rows,
        max_bytes,
    )


def test_run_can_be_used_without_http(shop: WarehouseConnection) -> None:
    with query_executor.run(
        shop, Statement("SELECT generate_series(1, 3) AS n"), max_rows=2
    ) as run:
        run.start()
        assert run.schema.names == ["n"]
        assert [row for batch in run for row in batch["n"].to_pylist()] == [1, 2]
    assert (run.rows, run.truncated) == (2, True)


def test_connector_knows_where_the_machines_own_identity_may_sign_in(
    shop: WarehouseConnection, settings: Any
) -> None:
    assert connections.connector_of(shop).own_identity == frozenset()
    settings.WAREHOUSE_OWN_IDENTITY = ["bigquery:my-project"]
    assert connections.connector_of(shop).own_identity == {"bigquery:my-project"}


def test_paused_connection_is_not_opened(shop: WarehouseConnection) -> None:
    shop.is_active = False
    with pytest.raises(ConnectionPaused), connections.opened(shop):
        pytest.fail("It was opened.")


def test_check_opens_one_row_of_each_key(shop: WarehouseConnection, save: Save) -> None:
    assert stored_credentials_can_be_read() == []
    assert stored_credentials_can_be_read(["default"]) == []
    broken = save(name="broken")
    WarehouseConnection.all_teams.filter(pk=broken.pk).update(encrypted_credentials="{}")
    found = stored_credentials_can_be_read(["default"])
    assert [(type(message), message.id) for message in found] == [(Error, "warehouse.E001")]


@pytest.fixture
def before_migrations(transactional_db: None) -> Iterator[None]:
    table = WarehouseConnection._meta.db_table
    with database.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO away")
    yield
    with database.cursor() as cursor:
        cursor.execute(f"ALTER TABLE away RENAME TO {table}")


@pytest.mark.usefixtures("before_migrations")
def test_check_passes_before_the_first_migration() -> None:
    assert stored_credentials_can_be_read(["default"]) == []


def test_models_and_migrations_agree() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
