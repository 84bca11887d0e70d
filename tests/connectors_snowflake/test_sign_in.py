"""Every way to sign in, each with what goes wrong; and what the session may then use and change."""

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors import Connector
from connectors.errors import CredentialsRejected, InvalidCredentials, ResourceUnusable
from connectors.providers.snowflake import Snowflake
from connectors.snowflake.credentials import SnowflakeCredentials
from tests.sandbox_snowflake.standin import ACCESS_TOKEN, OAUTH_TOKEN, PASSWORD, new_key

from .conftest import Open

PHRASE = "open sesame"
NO_PASSWORD: dict[str, Any] = {"password": None}


def encrypted(pem: str) -> str:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PHRASE.encode()),
    ).decode()


def pem_of(key: Any) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def test_password_signs_in(warehouse: Connector) -> None:
    assert warehouse.check().ok


def test_key_signs_in_encrypted_or_not(open_one: Open, key_pem: str) -> None:
    assert open_one(**NO_PASSWORD, private_key=key_pem).check().ok
    form = {"private_key": encrypted(key_pem), "private_key_passphrase": PHRASE}
    assert open_one(**NO_PASSWORD, **form).check().ok


@pytest.mark.parametrize(
    ("field", "token"), [("oauth_token", OAUTH_TOKEN), ("access_token", ACCESS_TOKEN)]
)
def test_token_signs_in(open_one: Open, field: str, token: str) -> None:
    assert open_one(**NO_PASSWORD, **{field: token}).check().ok


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("password", PASSWORD + "r"),
        ("oauth_token", ACCESS_TOKEN),
        ("access_token", OAUTH_TOKEN),
        ("private_key", pem_of(new_key())),
        ("private_key", pem_of(ec.generate_private_key(ec.SECP256R1()))),
        ("private_key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
    ],
)
def test_wrong_secret_is_named(open_one: Open, field: str, wrong: str) -> None:
    warehouse = open_one(**{**NO_PASSWORD, field: wrong})
    with pytest.raises(CredentialsRejected) as caught:
        warehouse.query("SELECT 1 AS ONE")
    assert list(caught.value.fields) == [field]
    failure = warehouse.check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("sign in", "credentials_rejected")


@pytest.mark.parametrize("given", ["missing", "wrong", "superfluous"])
def test_passphrase_at_fault_is_named(open_one: Open, key_pem: str, given: str) -> None:
    form = {
        "missing": {"private_key": encrypted(key_pem)},
        "wrong": {"private_key": encrypted(key_pem), "private_key_passphrase": PHRASE + "!"},
        "superfluous": {"private_key": key_pem, "private_key_passphrase": PHRASE},
    }[given]
    with pytest.raises(CredentialsRejected) as caught:
        open_one(**NO_PASSWORD, **form).fetch_tables()
    assert list(caught.value.fields) == ["private_key_passphrase"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"password": None}, "private_key"),
        ({"access_token": "x"}, "password"),
        ({"private_key_passphrase": "x"}, "private_key"),
        ({"password": ""}, "password"),
        ({"password": None, "oauth_token": ""}, "oauth_token"),
        ({"password": None, "private_key": "ssh-rsa AAAA"}, "private_key"),
        ({"account": "https://x.snowflakecomputing.com"}, "account"),
        ({"role": ""}, "role"),
    ],
)
def test_malformed_form_names_the_field(
    open_one: Open, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        open_one(**changes)
    assert list(caught.value.fields) == [field]


def test_form_tells_people_what_to_enter() -> None:
    form = SnowflakeCredentials.form()
    assert [way["title"] for way in form["oneOf"]] == [
        "Key pair",
        "Programmatic access token",
        "OAuth access token",
        "Password",
    ]
    assert all(field.get("title") for field in form["properties"].values())
    assert SnowflakeCredentials.parse(SnowflakeCredentials.example).way_in() == "private_key"
    assert SnowflakeCredentials.secret_fields() == {
        "password", "private_key", "private_key_passphrase", "oauth_token", "access_token",
    }  # fmt: skip
    for place in ("<role>", "<user>", "<warehouse>", "<database>", "<schema>"):
        assert place in Snowflake.grants


# What may be used


def test_usable_says_what_is_used(warehouse: Connector) -> None:
    step = next(step for step in warehouse.check().steps if step.name == "usable")
    assert step.detail == ("role SYSADMIN, warehouse COMPUTE_WH, database DATAVAULT, schema PUBLIC")


@pytest.mark.parametrize("field", ["role", "warehouse", "database", "schema"])
def test_place_that_is_not_there_is_named_before_anything_runs(open_one: Open, field: str) -> None:
    warehouse = open_one(**{field: "NOT_THERE"})
    failure = warehouse.check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("usable", "resource_unusable")
    assert field in failure.detail
    for verb in (
        warehouse.fetch_tables,
        lambda: warehouse.query("SELECT 1 AS ONE"),
        lambda: warehouse.estimate("SELECT 1 AS ONE"),
    ):
        with pytest.raises(ResourceUnusable) as caught:
            verb()
        assert list(caught.value.fields) == [field]


def test_wrong_secret_comes_before_a_wrong_role(open_one: Open) -> None:
    failure = open_one(password="wrong", role="NOT_THERE").check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("sign in", "credentials_rejected")


def test_warehouse_that_is_asleep_is_usable(open_one: Open) -> None:
    assert open_one(warehouse="ASLEEP").check().ok


def test_warehouse_that_does_not_wake_up_is_not(open_one: Open) -> None:
    failure = open_one(warehouse="OFF").check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("usable", "resource_unusable")
    assert "suspended" in failure.detail


@pytest.mark.parametrize(
    ("role", "may_write"),
    [("SYSADMIN", True), ("READER", False), ("CHIEF_READER", False), ("CHIEF_WRITER", True)],
)
def test_role_that_may_write_is_warned_of(open_one: Open, role: str, may_write: bool) -> None:
    report = open_one(role=role).check()
    assert report.ok
    last = report.steps[-1]
    assert (last.name, last.code) == ("write refused", "role_can_write" if may_write else "")


def test_secondary_role_that_may_write_is_warned_of(open_one: Open) -> None:
    assert open_one(user="LENDER").check().steps[-1].code == "role_can_write"


def test_check_runs_nothing_on_the_warehouse(open_one: Open, watcher: Any) -> None:
    before = len(watcher.statements())
    assert open_one(role="READER").check().ok
    texts = [one["text"] for one in watcher.statements()[before:]]
    free = ("SHOW ", "SELECT CURRENT_", "SELECT 1 ")
    assert texts
    assert all(text.startswith(free) for text in texts)
