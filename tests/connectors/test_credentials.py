"""Forms of credentials: what is at fault is named, what is secret stays so."""

import json
import logging
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from connectors import Connector, NetworkPolicy, connect
from connectors.credentials import Credentials
from connectors.errors import ConnectorError, InvalidCredentials
from connectors.registry import provider

SECRET = "canary-secret-4711"
PHRASE = "canary-phrase-4712"


def private_key(phrase: str | None = None) -> str:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if phrase:
        encryption = serialization.BestAvailableEncryption(phrase.encode())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


PEM = private_key()


def service_account(**changes: Any) -> dict[str, Any]:
    return {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "canary-key-id-4713",
        "private_key": PEM,
        "client_email": "reader@my-project.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    } | changes


FORMS: dict[str, dict[str, Any]] = {
    "postgres": {"host": "h", "database": "d", "user": "u", "password": SECRET},
    "snowflake": {"account": "a-b", "user": "u", "database": "d", "password": SECRET},
    "bigquery": {"project": "my-project", "service_account_json": service_account()},
}
SECRET_FIELDS = {
    "postgres": {"password", "sslkey", "sslpassword"},
    "snowflake": {
        "password",
        "private_key",
        "private_key_passphrase",
        "oauth_token",
        "access_token",
    },
    "bigquery": {"service_account_json"},
}


def parse(name: str, **changes: Any) -> Credentials:
    """A working form with changes; None leaves a field out."""
    data = FORMS[name] | changes
    return provider(name).credentials_model.parse(
        {field: value for field, value in data.items() if value is not None}
    )


def faults(name: str, **changes: Any) -> dict[str, str]:
    with pytest.raises(InvalidCredentials) as caught:
        parse(name, **changes)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.fields


@pytest.mark.parametrize("name", FORMS)
def test_unknown_field_is_named(name: str) -> None:
    assert faults(name, hots="x") == {"hots": "This provider has no such field."}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("postgres", "host"),
        ("postgres", "database"),
        ("postgres", "user"),
        ("snowflake", "account"),
        ("snowflake", "user"),
        ("snowflake", "database"),
        ("bigquery", "project"),
    ],
)
def test_missing_field_is_named(name: str, field: str) -> None:
    assert faults(name, **{field: None}) == {field: "This field is required."}


def test_all_fields_at_fault_are_named_at_once() -> None:
    assert set(faults("postgres", host=None, user=None, port="x", more=1)) == {
        *("host", "user", "port", "more")
    }


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("postgres", {"port": 0}),
        ("postgres", {"port": 65_536}),
        ("postgres", {"port": "many"}),
        ("postgres", {"host": ""}),
        ("postgres", {"host": "x" * 254}),
        ("postgres", {"sslmode": "maybe"}),
        ("postgres", {"password": 4711}),
        ("postgres", {"password": [SECRET]}),
        ("snowflake", {"account": "a b"}),
        ("snowflake", {"account": "evil.example/x"}),
        ("snowflake", {"account": "a.b.c.d"}),
        ("snowflake", {"account": "a\n"}),
        ("snowflake", {"protocol": "ftp"}),
        ("snowflake", {"schema": ""}),
        ("bigquery", {"project": "My Project"}),
        ("bigquery", {"project": "x`.y"}),
        ("bigquery", {"dataset": "a.b"}),
        ("bigquery", {"dataset": "a`"}),
        ("bigquery", {"dataset": "x" * 1025}),
        ("bigquery", {"location": "US; x"}),
        ("bigquery", {"storage_endpoint": "http://x"}),
    ],
    ids=str,
)
def test_malformed_value_is_named_and_not_repeated(name: str, changes: dict[str, Any]) -> None:
    found = faults(name, **changes)
    assert set(found) == set(changes)
    assert SECRET not in str(found)


def test_snowflake_takes_one_way_to_sign_in() -> None:
    either = (
        "Give the secrets of one way to sign in: private_key; or access_token; or oauth_token; "
        "or password."
    )
    assert faults("snowflake", password=None) == {"private_key": either}
    assert faults("snowflake", private_key=PEM) == {"password": either}
    assert parse("snowflake", password=None, private_key=PEM)


def test_private_key_has_to_be_pem() -> None:
    found = faults("snowflake", password=None, private_key=f"ssh-rsa {SECRET}")
    assert found == {"private_key": "This is not a PEM private key."}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (f"not json {SECRET}", "This is not JSON"),
        ("", "This is not JSON"),
        ("[" * 100_000, "This is not JSON"),
        (f'["{SECRET}"]', '"type" must be'),
        ("null", '"type" must be'),
        (json.dumps(service_account(type="authorized_user")), '"type" must be'),
        (service_account(type="external_account"), '"type" must be'),
        (service_account(private_key=None), "lacks private_key"),
        (service_account(token_uri=4711), "lacks token_uri"),
        ({"type": "service_account"}, "lacks client_email, private_key, token_uri"),
        (4711, "valid string"),
    ],
)
def test_malformed_key_file_is_explained_and_not_repeated(key: Any, said: str) -> None:
    found = faults("bigquery", service_account_json=key)
    assert set(found) == {"service_account_json"}
    assert said in found["service_account_json"]
    assert SECRET not in str(found)


def test_key_file_may_come_as_text_or_as_an_object() -> None:
    as_text = parse("bigquery", service_account_json=json.dumps(service_account()))
    assert as_text.reveal() == parse("bigquery").reveal()


# Secrets


@pytest.mark.parametrize("name", FORMS)
def test_form_knows_its_secret_fields(name: str) -> None:
    assert provider(name).credentials_model.secret_fields() == SECRET_FIELDS[name]


@pytest.mark.parametrize("name", FORMS)
def test_secret_shows_in_no_representation(name: str) -> None:
    form = parse(name)
    shown = f"{form} {form!r} {form.model_dump()} {form.model_dump_json()} {form.target()}"
    for secret in form.secrets():
        assert secret not in shown


@pytest.mark.parametrize("name", FORMS)
def test_form_cannot_be_changed(name: str) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse(name).user = "x"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", FORMS)
def test_what_is_revealed_makes_the_same_form(name: str) -> None:
    form = parse(name)
    revealed = form.reveal()
    assert json.loads(json.dumps(revealed)) == revealed
    assert provider(name).credentials_model.parse(revealed) == form


def test_field_with_an_alias_is_revealed_under_it() -> None:
    revealed = parse("snowflake", schema="S").reveal()
    assert revealed["schema"] == "S"
    assert "schema_" not in revealed
    assert revealed["password"] == SECRET
    assert "role" not in revealed


def test_mask_hides_every_form_of_a_secret() -> None:
    form = parse("snowflake", password=None, private_key=PEM, private_key_passphrase=PHRASE)
    line = PEM.splitlines()[3]
    masked = form.mask(f"key {PEM} line {line} phrase {PHRASE}.")
    assert masked == f"key {'***'} line *** phrase ***."


def test_mask_hides_the_parts_of_a_key_file() -> None:
    form = parse("bigquery")
    text = json.dumps(service_account())
    hidden = form.mask(f"{text} {PEM} {PEM.splitlines()[2]} canary-key-id-4713")
    assert PEM.splitlines()[2] not in hidden
    assert "canary-key-id-4713" not in hidden


def test_mask_survives_a_key_id_that_is_no_text() -> None:
    form = parse("bigquery", service_account_json=service_account(private_key_id=471147))
    assert form.mask("id 471147") == "id ***"


@pytest.mark.parametrize("password", ["a", "abc"])
def test_short_password_does_not_mangle_the_log(password: str) -> None:
    text = "a table of abc"
    assert parse("postgres", password=password).mask(text) == text


@pytest.mark.parametrize(
    ("name", "target"),
    [("postgres", "h:5432/d"), ("snowflake", "a-b/d.PUBLIC"), ("bigquery", "my-project")],
)
def test_target_is_for_people(name: str, target: str) -> None:
    assert parse(name).target() == target


def test_base_form_does_not_know_where_it_points() -> None:
    with pytest.raises(NotImplementedError):
        Credentials().target()


# Hosts inside of credentials


def refused(name: str, network: NetworkPolicy | None = None, **changes: Any) -> str:
    """The code that the first step of a check ends with."""
    failure = connect(name, FORMS[name] | changes, network=network).check().failure
    return f"{failure.name}: {failure.code}" if failure else ""


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/token",
        "http://oauth2.googleapis.com/token",
        "https://oauth2.googleapis.com.evil.example/token",
        "https://evilgoogleapis.com/token",
        "https://googleapis.com@evil.example/token",
        "https://evil.example\\.googleapis.com/token",
        "http://169.254.169.254/computeMetadata/v1/token",
        "http://127.0.0.1:8080/token",
        "file:///etc/passwd",
        "",
    ],
)
def test_key_file_that_leads_elsewhere_is_refused(url: str) -> None:
    key = service_account(token_uri=url)
    assert refused("bigquery", service_account_json=key) == "resolve: host_refused"


@pytest.mark.parametrize(
    "changes",
    [
        {"api_endpoint": "https://evil.example"},
        {"api_endpoint": "http://bigquery.googleapis.com"},
        {"storage_endpoint": "evil.example:443"},
        {"storage_endpoint": "127.0.0.1:443"},
    ],
    ids=str,
)
def test_bigquery_endpoint_that_is_not_googles_is_refused(changes: dict[str, str]) -> None:
    assert refused("bigquery", **changes) == "resolve: host_refused"


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "evil.example"},
        {"host": "snowflakecomputing.com.evil.example"},
        {"host": "evilsnowflakecomputing.com"},
        {"host": "127.0.0.1"},
        {"host": "a.snowflakecomputing.com", "protocol": "http"},
    ],
    ids=str,
)
def test_host_that_is_not_snowflakes_is_refused(changes: dict[str, str]) -> None:
    assert refused("snowflake", **changes) == "resolve: host_refused"


@pytest.mark.parametrize(
    "host", ["127.0.0.1/?.snowflakecomputing.com", "evil.example#.snowflakecomputing.com"]
)
def test_host_that_a_url_would_read_otherwise_is_no_host(host: str) -> None:
    assert refused("snowflake", host=host) == "resolve: host_unknown"


def test_name_that_the_client_looks_up_again_has_to_be_allowed_by_name() -> None:
    network = NetworkPolicy.allowing(["127.0.0.0/8"])
    assert refused("snowflake", network, host="localhost") == "resolve: host_refused"


# Keys that turn out to be broken only when they are used


def code_of(connector: Connector) -> str:
    with connector, pytest.raises(ConnectorError) as caught:
        connector.fetch_tables()
    return caught.value.code


def test_key_pair_signs_in(endpoints: dict[str, Any], opened: Any) -> None:
    pem = endpoints["snowflake"]["private_key_pem"]
    with opened("snowflake", password=None, private_key=pem) as connector:
        assert connector.check().ok


def test_encrypted_key_needs_its_passphrase(
    endpoints: dict[str, Any], opened: Any, log: pytest.LogCaptureFixture
) -> None:
    there = endpoints["snowflake"]["private_key_pem"].encode()
    pem = serialization.load_pem_private_key(there, password=None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PHRASE.encode()),
    )
    form = {"password": None, "private_key": pem.decode()}
    assert opened("snowflake", **form, private_key_passphrase=PHRASE).check().ok
    for phrase in ("wrong-canary-4714", None):
        connector = opened("snowflake", **form, private_key_passphrase=phrase)
        assert code_of(connector) == "credentials_rejected"
    assert PHRASE not in log.text
    assert "wrong-canary-4714" not in log.text


def test_key_of_somebody_else_is_rejected(opened: Any) -> None:
    connector = opened("snowflake", password=None, private_key=private_key())
    assert code_of(connector) == "credentials_rejected"


@pytest.mark.parametrize(
    "pem", ["-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "nonsense"]
)
def test_broken_key_is_rejected_at_sign_in(
    endpoints: dict[str, Any], opened: Any, pem: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = endpoints["bigquery"]["service_account"] | {"private_key": pem}
    failure = opened("bigquery", service_account_json=key).check().failure
    assert (failure.name, failure.code) == ("sign in", "credentials_rejected")
    if pem != "nonsense":
        connector = opened("snowflake", password=None, private_key=pem)
        assert code_of(connector) == "credentials_rejected"


def test_empty_password_is_refused() -> None:
    """libpq would look for one in the operator's own password file instead."""
    with pytest.raises(InvalidCredentials) as refused:
        parse("postgres", password="")
    assert list(refused.value.fields) == ["password"]
