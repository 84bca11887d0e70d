"""Signing in to Postgres: by password and by certificate, as sslmode says; who is refused, and why.

The sandbox's Postgres has no TLS itself; its second port has.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization

from connectors import Connector
from connectors.errors import ConnectorError, CredentialsRejected, InvalidCredentials
from connectors.postgres.credentials import EXAMPLE_CERTIFICATE, EXAMPLE_KEY
from connectors.postgres.sign_in import error_for
from sandbox.postgres_tls.authority import Authority
from tests.connectors.helpers import rows_of

PROVIDER = "postgres"
TLS_MODES = ("require", "verify-ca", "verify-full")
PASSPHRASE = "a secret word"

Opened = Callable[..., Connector]


@pytest.fixture(scope="session")
def place(endpoints: dict[str, Any]) -> dict[str, Any]:
    """The port with TLS, and the certificate of who signed its own."""
    tls = endpoints["postgres"]["tls"]
    where = {name: tls[name] for name in ("host", "port", "database", "user")}
    return where | {"sslrootcert": Path(tls["sslrootcert"]).read_text()}


@pytest.fixture(scope="session")
def pair(endpoints: dict[str, Any]) -> dict[str, str]:
    """The reader's certificate and key."""
    return {n: Path(endpoints["postgres"]["tls"][n]).read_text() for n in ("sslcert", "sslkey")}


@pytest.fixture
def by_certificate(opened: Opened, place: dict[str, Any], pair: dict[str, str]) -> Opened:
    """A connector that signs in by certificate, with changes."""

    def make(sslmode: str = "verify-full", **changes: Any) -> Connector:
        return opened("postgres", **{**place, **pair, "password": None, **changes}, sslmode=sslmode)

    return make


@pytest.fixture
def by_password(opened: Opened, place: dict[str, Any]) -> Opened:
    """A connector to the port with TLS that signs in by password, with changes."""
    return lambda **changes: opened("postgres", **{**place, **changes})


def locked(key: str, passphrase: str = PASSPHRASE) -> str:
    """The same key under a passphrase."""
    private = serialization.load_pem_private_key(key.encode(), None)
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()),
    ).decode()


def refused(connector: Connector) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        connector.query("SELECT 1 AS one")
    return caught.value


def files_in_memory() -> list[str]:
    links = (entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())
    return [target for link in links if "memfd:pem" in (target := os.readlink(link))]


# By certificate


@pytest.mark.parametrize("sslmode", TLS_MODES)
def test_certificate_signs_its_user_in(by_certificate: Opened, sslmode: str) -> None:
    connector = by_certificate(sslmode)
    assert rows_of(connector, "SELECT current_user::text AS u") == [("etl_reader",)]
    assert connector.check().ok


def test_key_may_have_a_passphrase(by_certificate: Opened, pair: dict[str, str]) -> None:
    connector = by_certificate(sslkey=locked(pair["sslkey"]), sslpassword=PASSPHRASE)
    assert rows_of(connector, "SELECT 1 AS one") == [(1,)]


def test_certificates_are_gone_with_the_session(by_certificate: Opened) -> None:
    before = files_in_memory()
    connector = by_certificate()
    connector.query("SELECT 1 AS one").close()
    assert len(files_in_memory()) == len(before) + 3
    connector.close()
    assert files_in_memory() == before


def test_files_stand_in_where_a_system_keeps_none_in_memory(
    by_certificate: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    connector = by_certificate()
    connector.query("SELECT 1 AS one").close()
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600] * 3
    connector.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_sign_in_that_failed(by_certificate: Opened) -> None:
    before = files_in_memory()
    refused(by_certificate(user="datavault"))
    assert files_in_memory() == before


def test_cancel_shows_the_certificate_again(by_certificate: Opened) -> None:
    connector = by_certificate()
    result = connector.query("SELECT pg_sleep(60)::text AS slept", run_id="r-1")
    assert connector.cancel("r-1")
    assert refused_by(lambda: result.read_all()) == "query_cancelled"


def refused_by(action: Callable[[], Any]) -> str:
    with pytest.raises(ConnectorError) as caught:
        action()
    return caught.value.code


def test_certificate_of_somebody_else_is_rejected(by_certificate: Opened) -> None:
    error = refused(by_certificate(user="datavault"))
    assert isinstance(error, CredentialsRejected)
    assert list(error.fields) == ["sslcert"]


@pytest.mark.parametrize("lifetime", [timedelta(days=9), -timedelta(days=9)])
def test_certificate_of_another_authority_is_rejected(
    by_certificate: Opened, lifetime: timedelta
) -> None:
    certificate, key = Authority("Stranger").pair("etl_reader", lifetime)
    error = refused(by_certificate(sslcert=certificate, sslkey=key))
    assert isinstance(error, CredentialsRejected)
    assert list(error.fields) == ["sslcert"]


def test_rejected_certificate_fails_at_sign_in(by_certificate: Opened) -> None:
    failure = by_certificate(user="datavault").check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("sign in", "credentials_rejected")


def test_server_that_wants_a_password_as_well_says_so(
    by_certificate: Opened, endpoints: Any
) -> None:
    redshift = endpoints["redshift"]
    face = {name: redshift[name] for name in ("host", "port", "database", "user")}
    pem = Path(redshift["sslrootcert"]).read_text()
    error = refused(by_certificate(**face, sslrootcert=pem))
    assert isinstance(error, CredentialsRejected)
    assert list(error.fields) == ["password"]


# By password


@pytest.mark.parametrize("sslmode", ["disable", "prefer"])
def test_password_signs_in_without_tls(opened: Opened, sslmode: str) -> None:
    assert opened("postgres", sslmode=sslmode).check().ok


@pytest.mark.parametrize("sslmode", ["prefer", *TLS_MODES])
def test_password_signs_in_over_tls(by_password: Opened, sslmode: str) -> None:
    assert by_password(sslmode=sslmode).check().ok


def test_wrong_password_is_rejected(opened: Opened) -> None:
    error = refused(opened("postgres", password="not the password"))
    assert isinstance(error, CredentialsRejected)
    assert list(error.fields) == ["password"]


# TLS, as a check finds it


def tls_step(connector: Connector) -> tuple[bool, str, str]:
    step = next(step for step in connector.check().steps if step.name == "TLS")
    return step.ok, step.code, f"{step.detail} {step.hint}"


@pytest.mark.parametrize("sslmode", ["prefer", *TLS_MODES])
def test_check_names_version_and_expiry(by_password: Opened, sslmode: str) -> None:
    ok, _, said = tls_step(by_password(sslmode=sslmode))
    assert ok
    assert said.startswith("TLSv1.3, certificate valid until 20")


@pytest.mark.parametrize("sslmode", ["disable", "prefer"])
def test_check_says_that_a_session_is_in_plain_text(opened: Opened, sslmode: str) -> None:
    ok, code, said = tls_step(opened("postgres", sslmode=sslmode))
    assert (ok, code) == (True, "")
    assert "plain text" in said


@pytest.mark.parametrize("sslmode", TLS_MODES)
def test_server_without_tls_fails_where_it_is_asked_for(opened: Opened, sslmode: str) -> None:
    connector = opened("postgres", sslmode=sslmode)
    assert tls_step(connector)[:2] == (False, "tls_failed")
    error = refused(connector)
    assert (error.code, list(error.fields)) == ("tls_failed", ["sslmode"])


@pytest.mark.parametrize("sslmode", ["verify-ca", "verify-full"])
@pytest.mark.parametrize("authority", [None, EXAMPLE_CERTIFICATE], ids=["public", "another"])
def test_certificate_of_another_server_authority_fails(
    by_password: Opened, sslmode: str, authority: str | None
) -> None:
    connector = by_password(sslmode=sslmode, sslrootcert=authority)
    assert tls_step(connector)[:2] == (False, "tls_failed")
    assert refused(connector).code == "tls_failed"


def test_certificate_for_another_host_fails_verify_full_only(by_password: Opened) -> None:
    assert by_password(host="127.0.0.1", sslmode="verify-ca").check().ok
    connector = by_password(host="127.0.0.1", sslmode="verify-full")
    ok, code, said = tls_step(connector)
    assert (ok, code) == (False, "tls_failed")
    assert "127.0.0.1" in said
    error = refused(connector)
    assert (error.code, list(error.fields)) == ("tls_failed", ["host"])


# What cannot be right


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sslrootcert": "nonsense"}, "sslrootcert"),
        ({"sslcert": "nonsense"}, "sslcert"),
        ({"sslcert": EXAMPLE_CERTIFICATE.replace("M", "?")}, "sslcert"),
        ({"sslkey": "nonsense"}, "sslkey"),
        ({"sslkey": EXAMPLE_KEY.replace("MC4C", "????")}, "sslkey"),
        ({"sslkey": EXAMPLE_KEY}, "sslkey"),
        ({"sslpassword": PASSPHRASE}, "sslpassword"),
        ({"sslpassword": ""}, "sslpassword"),
        ({"sslmode": "prefer"}, "sslmode"),
        ({"sslmode": "disable"}, "sslmode"),
        ({"sslcert": None}, "sslcert"),
        ({"sslkey": None}, "sslkey"),
        ({"password": "as well"}, "password"),
    ],
)
def test_form_that_cannot_be_right_names_the_field(
    by_certificate: Opened, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        by_certificate(**changes)
    assert list(caught.value.fields) == [field]


@pytest.mark.parametrize("passphrase", [None, "another word"])
def test_key_that_does_not_open_names_its_passphrase(
    by_certificate: Opened, pair: dict[str, str], passphrase: str | None
) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        by_certificate(sslkey=locked(pair["sslkey"]), sslpassword=passphrase)
    assert list(caught.value.fields) == ["sslpassword"]


def test_secrets_are_in_no_error_and_no_log(
    by_certificate: Opened, pair: dict[str, str], log: pytest.LogCaptureFixture
) -> None:
    error = refused(by_certificate(user="datavault"))
    lines = [line for line in pair["sslkey"].splitlines() if len(line) > 20 and "-" not in line]
    shown = f"{error!r} {error.advice} {error.fields} {log.text}"
    assert lines
    assert not [line for line in lines if line in shown]


# What servers say

SAID = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "code", "fields"),
    [
        ('FATAL:  password authentication failed for user "u"', "credentials_rejected", "password"),
        ("fe_sendauth: no password supplied", "credentials_rejected", "password"),
        ('FATAL:  role "u" does not exist', "credentials_rejected", "user"),
        ('FATAL:  role "u" is not permitted to log in', "credentials_rejected", "user"),
        (
            'FATAL:  no pg_hba.conf entry for host "127.0.0.1", user "u", database "d", '
            "no encryption",
            "credentials_rejected",
            "user",
        ),
        (
            "FATAL:  connection requires a valid client certificate\nconnection to server failed: "
            'FATAL:  no pg_hba.conf entry for host "127.0.0.1", user "u", database "d"',
            "credentials_rejected",
            "sslcert",
        ),
        ("SSL error: tlsv13 alert certificate required", "credentials_rejected", "sslcert"),
        ("SSL error: sslv3 alert certificate expired", "credentials_rejected", "sslcert"),
        ("SSL error: tlsv1 alert unknown ca", "credentials_rejected", "sslcert"),
        ('FATAL:  database "d" does not exist', "resource_unusable", "database"),
        ('FATAL:  permission denied for database "d"', "resource_unusable", "database"),
        (
            'FATAL:  database "d" is not currently accepting connections',
            "resource_unusable",
            "database",
        ),
        ('FATAL:  too many connections for role "u"', "warehouse_busy", ""),
        ("FATAL:  sorry, too many clients already", "warehouse_busy", ""),
        (
            "FATAL:  remaining connection slots are reserved for roles with SUPERUSER",
            "warehouse_busy",
            "",
        ),
        ("FATAL:  the database system is starting up", "warehouse_busy", ""),
        (
            'FATAL:  unrecognized configuration parameter "client_connection_check_interval"',
            "resource_unusable",
            "host",
        ),
        ("FATAL:  unsupported startup parameter: options", "resource_unusable", "host"),
        ("server does not support SSL, but SSL was required", "tls_failed", "sslmode"),
        (
            'server certificate for "a" does not match host name "b"',
            "tls_failed",
            "host",
        ),
        ("SSL error: certificate verify failed", "tls_failed", ""),
        ("server closed the connection unexpectedly", "host_unreachable", ""),
        ("Connection refused", "host_unreachable", ""),
        ("FATAL:  la contraseña no es correcta", "host_unreachable", ""),
    ],
)
def test_what_a_server_says_names_the_field(
    said: str, code: str, fields: str, closed_port: int
) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(host="127.0.0.1", port=closed_port, connect_timeout=5)
    error = error_for(psycopg.OperationalError(SAID + said, pgconn=caught.value.pgconn))
    assert (error.code, list(error.fields)) == (code, fields.split())
