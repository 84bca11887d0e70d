"""The admin: teams and connections are kept there, and no stored secret is ever in a page."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from warehouse.models import Membership, Team, WarehouseConnection

pytestmark = pytest.mark.django_db

Save = Callable[..., WarehouseConnection]

LIST = reverse("admin:warehouse_warehouseconnection_changelist")
ADD = reverse("admin:warehouse_warehouseconnection_add")
TYPED = "typed-into-the-form-4711"


@pytest.fixture
def root(client: Client) -> Client:
    """A browser in which the operator has signed in."""
    client.force_login(User.objects.create_superuser("root", password="x"))
    return client


@pytest.fixture
def form(team: Team, credentials: dict[str, Any]) -> dict[str, Any]:
    """The add form, filled in."""
    return {
        "team": str(team.pk),
        "name": "shop",
        "provider": "postgres",
        "mode": "direct",
        "config": "{}",
        "is_active": "on",
        "credentials": json.dumps(credentials["postgres"]),
    }


def change(row: WarehouseConnection) -> str:
    return reverse("admin:warehouse_warehouseconnection_change", args=[row.pk])


def of_change(form: dict[str, Any], **changed: str) -> dict[str, Any]:
    """The change form: team and provider stand fixed, credentials start empty."""
    kept = {name: form[name] for name in ("name", "mode", "config", "is_active")}
    return kept | {"credentials": ""} | changed


def said(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def faults(answer: Any) -> str:
    """What the form says is wrong; the page is shown again."""
    assert answer.status_code == 200
    assert answer.redirect_chain == []
    return str(answer.context["adminform"].form.errors)


def test_pages_are_for_staff_only(client: Client, shop: WarehouseConnection) -> None:
    for page in (LIST, ADD, change(shop), reverse("admin:index")):
        answer = client.get(page)
        assert answer.status_code == 302
        assert "/admin/login/" in answer["Location"]


def test_pages_are_drawn_by_unfold_and_hold_no_secret(
    root: Client, shop: WarehouseConnection, credentials: dict[str, Any]
) -> None:
    for page in (reverse("admin:index"), LIST, ADD, change(shop)):
        html = root.get(page).content.decode()
        assert "unfold" in html
        assert credentials["postgres"]["password"] not in html
        assert shop.encrypted_credentials not in html
    assert shop.target in root.get(LIST).content.decode()


def test_connection_is_added_with_credentials(
    root: Client, form: dict[str, Any], credentials: dict[str, Any]
) -> None:
    answer = root.post(ADD, form | {"config": '{"max_rows": 5}'}, follow=True)
    assert answer.redirect_chain == [(LIST, 302)]
    row = WarehouseConnection.all_teams.get()
    assert row.read_credentials()["password"] == credentials["postgres"]["password"]
    assert (row.name, row.config, row.is_active) == ("shop", {"max_rows": 5}, True)
    assert str(row.created_by) == "root"
    assert credentials["postgres"]["password"] not in answer.content.decode()


def test_connection_can_be_added_paused(root: Client, form: dict[str, Any]) -> None:
    del form["is_active"]
    root.post(ADD, form)
    assert WarehouseConnection.all_teams.get().is_active is False


def test_change_without_credentials_keeps_them(
    root: Client, shop: WarehouseConnection, form: dict[str, Any]
) -> None:
    root.post(change(shop), of_change(form, name="store", mode="sync", config=""))
    row = WarehouseConnection.all_teams.get()
    assert (row.name, row.mode, row.config) == ("store", "sync", {})
    assert row.encrypted_credentials == shop.encrypted_credentials


def test_change_of_one_credential_keeps_the_others(
    root: Client, shop: WarehouseConnection, form: dict[str, Any]
) -> None:
    before = shop.read_credentials()
    root.post(change(shop), of_change(form, credentials='{"password": "new", "sslmode": null}'))
    row = WarehouseConnection.all_teams.get()
    assert row.read_credentials() == before | {"password": "new", "sslmode": "prefer"}
    assert row.last_test_status == "never_tested"


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"provider": "oracle"}, "There is no such provider."),
        ({"credentials": "{}"}, "credentials.user: This field is required."),
        ({"credentials": "[1]"}, "Enter a JSON object."),
        ({"credentials": '"x"'}, "Enter a JSON object."),
        ({"credentials": "{"}, "Enter a valid JSON."),
        ({"config": "[1]"}, "Enter a JSON object."),
        ({"config": '{"colour": 1}'}, "config.colour"),
        ({"name": ""}, "This field is required."),
    ],
)
def test_form_that_cannot_be_used_says_why_and_saves_nothing(
    root: Client, form: dict[str, Any], changed: dict[str, str], fault: str
) -> None:
    assert fault in faults(root.post(ADD, form | changed, follow=True))
    assert not WarehouseConnection.all_teams.exists()


def test_credentials_typed_in_are_not_shown_again_after_a_mistake(
    root: Client, form: dict[str, Any], credentials: dict[str, Any], shop: WarehouseConnection
) -> None:
    typed = json.dumps(credentials["postgres"] | {"password": TYPED})
    for page, body in (
        (ADD, form | {"name": "", "credentials": typed}),
        (ADD, form | {"name": "other", "credentials": typed[:-1]}),
        (change(shop), of_change(form, name="", credentials=typed)),
    ):
        answer = root.post(page, body, follow=True)
        assert faults(answer)
        assert TYPED not in answer.content.decode()


def test_name_is_taken_once(root: Client, save: Save, form: dict[str, Any]) -> None:
    save(name="shop")
    other = save(name="other")
    assert "already has one of that name" in faults(root.post(ADD, form, follow=True))
    answer = root.post(change(other), of_change(form), follow=True)
    assert "already has one of that name" in faults(answer)


def test_unreadable_credentials_are_replaced_by_entering_them_all(
    root: Client, shop: WarehouseConnection, form: dict[str, Any]
) -> None:
    WarehouseConnection.all_teams.update(encrypted_credentials="{}")
    answer = root.post(change(shop), of_change(form, credentials='{"user": "x"}'), follow=True)
    assert "credentials.password" in faults(answer)
    root.post(change(shop), of_change(form, credentials=form["credentials"]))
    shop.refresh_from_db()
    assert shop.read_credentials()["user"] == json.loads(form["credentials"])["user"]


def act(root: Client, action: str, *rows: WarehouseConnection) -> Any:
    selected = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return root.post(LIST, selected, follow=True)


def test_actions_test_pause_and_resume(root: Client, save: Save) -> None:
    good, bad = save(name="good"), save(name="bad", password="not-the-password")
    broken = save(name="broken")
    WarehouseConnection.all_teams.filter(pk=broken.pk).update(encrypted_credentials="{}")
    told = said(act(root, "test", good, bad, broken))
    good_told, bad_told = (next(t for t in told if t.startswith(n)) for n in ("good", "bad"))
    first, *steps = good_told.removesuffix("</pre>").replace("<pre>", "\n").splitlines()
    assert first == "good: passed"
    assert [step[:16] for step in steps] == [
        f"✓ {name:<14}"
        for name in "resolve,network policy,connect,TLS,sign in,usable,read,write refused".split(
            ","
        )
    ]
    assert len({step.index(" ms") for step in steps}) == 1  # aligned
    assert bad_told.startswith("bad: failed at sign in<pre>")
    assert "\n✗ sign in" in bad_told
    assert any(text.startswith("broken: The stored credentials cannot be read") for text in told)
    statuses = dict(WarehouseConnection.all_teams.values_list("name", "last_test_status"))
    assert statuses == {"good": "passed", "bad": "failed", "broken": "never_tested"}
    assert said(act(root, "pause", good, bad)) == ["2 paused."]
    assert WarehouseConnection.all_teams.filter(is_active=True).get() == broken
    assert said(act(root, "resume", good)) == ["1 resumed."]


def test_warning_of_a_test_is_shown_as_one(
    root: Client, save: Save, endpoints: dict[str, Any]
) -> None:
    owner = urlsplit(endpoints["postgres"]["datavault_dsn"])
    answer = act(root, "test", save(name="owner", user=owner.username, password=owner.password))
    (message,) = answer.context["messages"]
    assert message.level_tag == "warning"
    assert "owner: passed, with a warning<pre>" in str(message)
    assert "\n! write refused" in str(message)


def test_team_is_made_with_its_members(root: Client, django_user_model: Any) -> None:
    bob = django_user_model.objects.create_user("bob")
    page = reverse("admin:warehouse_team_add")
    prefix = root.get(page).context["inline_admin_formsets"][0].formset.prefix
    rows = {
        f"{prefix}-TOTAL_FORMS": "1",
        f"{prefix}-INITIAL_FORMS": "0",
        f"{prefix}-0-user": str(bob.pk),
        f"{prefix}-0-role": "analyst",
    }
    root.post(page, {"name": "Initech", **rows})
    team = Team.objects.get(name="Initech")
    assert Membership.objects.for_team(team).get().role == "analyst"
    assert "Initech" in root.get(reverse("admin:warehouse_team_changelist")).content.decode()


def test_other_pages_of_the_admin_open(root: Client) -> None:
    for name in ("etl_pipeline", "etl_pipelinerun", "knox_authtoken", "auth_user"):
        assert root.get(reverse(f"admin:{name}_changelist")).status_code == 200
