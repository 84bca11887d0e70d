"""Signing in to BigQuery: by a key, and as the machine where the operator allows it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors import Connector, NetworkPolicy, connect
from connectors.errors import CredentialsRejected, HostRefused, InvalidCredentials
from connectors.network import Endpoint
from connectors.providers.bigquery import BigQuery
from sandbox.services.bigquery import new_private_key
from tests.connectors.helpers import rows_of

Form = dict[str, Any]
OWN = frozenset({"bigquery:sandbox-project"})


@pytest.fixture
def as_machine(credentials: dict[str, Form]) -> Form:
    """A form that has no key."""
    form = {k: v for k, v in credentials["bigquery"].items() if k != "service_account_json"}
    return form | {"use_machine_identity": True}


@pytest.fixture
def named(endpoints: dict[str, Any]) -> NetworkPolicy:
    """The policy of an operator who names the stand-in's own endpoints."""
    there = endpoints["bigquery"]
    return NetworkPolicy.allowing(
        [urlsplit(there["api_endpoint"]).netloc, there["storage_endpoint"]]
    )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Form], None]:
    """Make this machine one that has an identity, by the file that Google's libraries look for."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "none"))

    def be(identity: Form) -> None:
        file = tmp_path / "identity.json"
        file.write_text(json.dumps(identity))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

    return be


def rejected(connector: Connector) -> CredentialsRejected:
    with connector, pytest.raises(CredentialsRejected) as caught:
        connector.query("SELECT 1 AS one")
    return caught.value


# A key


@pytest.mark.parametrize(
    "changes",
    [
        {"private_key": new_private_key()},
        {"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
        {"private_key": "nonsense"},
        {"client_email": "nobody@sandbox-project.iam.gserviceaccount.com"},
    ],
    ids=["another key", "a broken key", "no key", "another account"],
)
def test_key_that_is_refused_is_named(
    credentials: dict[str, Form], loopback: NetworkPolicy, changes: Form
) -> None:
    form = credentials["bigquery"]
    key = form["service_account_json"] | changes
    changed = form | {"service_account_json": key}
    error = rejected(connect("bigquery", changed, network=loopback))
    assert set(error.fields) == {"service_account_json"}


@pytest.mark.parametrize("kind", ["external_account", "authorized_user", "gdch_service_account"])
def test_file_that_is_no_key_is_not_taken(credentials: dict[str, Form], kind: str) -> None:
    file = {"type": kind, "token_url": "https://sts.googleapis.com/v1/token"}
    with pytest.raises(InvalidCredentials) as caught:
        connect("bigquery", credentials["bigquery"] | {"service_account_json": file})
    assert set(caught.value.fields) == {"service_account_json"}


def test_key_of_another_universe_is_not_taken(credentials: dict[str, Form]) -> None:
    form = credentials["bigquery"]
    key = form["service_account_json"] | {"universe_domain": "evil.example"}
    with pytest.raises(InvalidCredentials) as caught:
        connect("bigquery", form | {"service_account_json": key})
    assert set(caught.value.fields) == {"service_account_json"}


def test_public_endpoints_are_spoken_to_over_tls() -> None:
    form = BigQuery.credentials_model.example
    assert BigQuery(form)._endpoints() == (
        Endpoint("bigquery.googleapis.com", 443, tls=True),
        Endpoint("oauth2.googleapis.com", 443, tls=True),
        Endpoint("bigquerystorage.googleapis.com", 443, tls=True),
    )
    regional = "bigquerystorage.europe-west3.rep.googleapis.com"
    assert BigQuery(form | {"storage_endpoint": f"{regional}:443"})._endpoints()[-1] == Endpoint(
        regional, 443, tls=True
    )


# The machine's own identity


@pytest.mark.parametrize(
    "allowed", [frozenset(), {"bigquery:another"}, {"bigquery"}, {"snowflake:sandbox-project"}]
)
def test_machine_may_not_sign_in_unless_the_operator_lists_the_project(
    as_machine: Form, loopback: NetworkPolicy, allowed: set[str]
) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        connect("bigquery", as_machine, network=loopback, own_identity=frozenset(allowed))
    assert set(caught.value.fields) == {"use_machine_identity"}


@pytest.mark.parametrize("value", [False, "yes", 2])
def test_a_form_asks_for_it_plainly(as_machine: Form, value: object) -> None:
    with pytest.raises(InvalidCredentials):
        connect("bigquery", as_machine | {"use_machine_identity": value}, own_identity=OWN)


def test_machine_signs_in_and_every_verb_works(
    as_machine: Form,
    named: NetworkPolicy,
    endpoints: dict[str, Any],
    machine: Callable[[Form], None],
) -> None:
    machine(endpoints["bigquery"]["service_account"])
    with connect("bigquery", as_machine, network=named, own_identity=OWN) as connector:
        assert rows_of(connector, "SELECT COUNT(*) AS n FROM plans") == [(1000,)]
        assert connector.check().ok
        assert len(connector.fetch_tables("analytics")) == 2


def test_a_script_signs_in_as_its_process_does(
    as_machine: Form, endpoints: dict[str, Any], named: NetworkPolicy, tmp_path: Path
) -> None:
    file = tmp_path / "identity.json"
    file.write_text(json.dumps(endpoints["bigquery"]["service_account"]))
    script = """
import json, sys
from connectors import NetworkPolicy, connect
form, hosts, own = json.loads(sys.argv[1])
with connect("bigquery", form, network=NetworkPolicy.allowing(hosts), own_identity=own) as found:
    print(found.query("SELECT SESSION_USER() AS who").read_all().to_pylist())
"""
    arguments = json.dumps([as_machine, sorted(named.hosts), sorted(OWN)])
    done = subprocess.run(
        [sys.executable, "-c", script, arguments],
        env=os.environ | {"GOOGLE_APPLICATION_CREDENTIALS": str(file)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "reader@" in done.stdout


def test_machine_without_an_identity_says_so(
    as_machine: Form, named: NetworkPolicy, machine: Callable[[Form], None]
) -> None:
    error = rejected(connect("bigquery", as_machine, network=named, own_identity=OWN))
    assert set(error.fields) == {"use_machine_identity"}


def test_identity_that_google_refuses_is_said(
    as_machine: Form,
    named: NetworkPolicy,
    endpoints: dict[str, Any],
    machine: Callable[[Form], None],
) -> None:
    machine(endpoints["bigquery"]["service_account"] | {"private_key": new_private_key()})
    error = rejected(connect("bigquery", as_machine, network=named, own_identity=OWN))
    assert set(error.fields) == {"use_machine_identity"}


@pytest.mark.parametrize("field", ["api_endpoint", "storage_endpoint"])
def test_token_of_the_machine_goes_to_no_host_that_is_open_for_other_reasons(
    as_machine: Form,
    endpoints: dict[str, Any],
    machine: Callable[[Form], None],
    listener: socket.socket,
    field: str,
) -> None:
    machine(endpoints["bigquery"]["service_account"])
    there = endpoints["bigquery"]
    open_for_all = NetworkPolicy.allowing(
        ["127.0.0.0/8", urlsplit(there["api_endpoint"]).netloc, there["storage_endpoint"]]
    )
    mine = f"127.0.0.1:{listener.getsockname()[1]}"
    form = as_machine | {field: f"http://{mine}" if field == "api_endpoint" else mine}
    with connect("bigquery", form, network=open_for_all, own_identity=OWN) as connector:
        with pytest.raises(HostRefused):
            connector.query("SELECT 1 AS one")
        assert not connector.check().ok
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_nothing_is_asked_of_an_address_that_the_machines_file_names_beside_googles(
    as_machine: Form,
    named: NetworkPolicy,
    endpoints: dict[str, Any],
    machine: Callable[[Form], None],
    listener: socket.socket,
) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/token"
    key = endpoints["bigquery"]["service_account"] | {"token_uri": url}
    federated = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"url": url},
    }
    for identity in (key, federated):
        machine(identity)
        connector = connect("bigquery", as_machine, network=named, own_identity=OWN)
        with connector, pytest.raises(HostRefused):
            connector.query("SELECT 1 AS one")
    with pytest.raises(BlockingIOError):
        listener.accept()
