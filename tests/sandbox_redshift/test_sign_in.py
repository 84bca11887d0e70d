import asyncio
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from sandbox.redshift import messages, temporary
from sandbox.redshift.certificate import make_certificate
from sandbox.redshift.messages import Message, Startup
from sandbox.supervisor import Sandbox, ServiceFailed

from .conftest import Face, aws_client, sign_in

PROTOCOL_3 = 196608


def start_by_hand(endpoint: dict[str, Any], **keys: str) -> list[Message]:
    """Say what Redshift's own drivers say, over TLS, and return the answers."""

    async def talk() -> list[Message]:
        reader, writer = await asyncio.open_connection(endpoint["host"], endpoint["port"])
        writer.write(Startup(messages.SSL_REQUEST, b"").encoded())
        assert await reader.readexactly(1) == b"S"
        tls = ssl.create_default_context(cafile=endpoint["sslrootcert"])
        await writer.start_tls(tls, server_hostname="localhost")
        asked = {"user": endpoint["user"], "database": endpoint["database"]} | keys
        writer.write(Startup(PROTOCOL_3, b"").with_parameters(asked).encoded())
        question = await messages.read_message(reader)
        assert question.authentication == messages.AUTH_CLEARTEXT
        password = endpoint["password"].encode() + b"\0"
        writer.write(Message(messages.PASSWORD, password).encoded())
        answers = [await messages.read_message(reader)]
        while answers[-1].kind not in (messages.READY, messages.ERROR):
            answers.append(await messages.read_message(reader))
        writer.close()
        return answers

    return asyncio.run(asyncio.wait_for(talk(), 10))


def reported(answers: list[Message]) -> dict[str, str]:
    statuses = [answer.body for answer in answers if answer.kind == messages.PARAMETER_STATUS]
    return {name.decode(): value.decode() for name, value, _ in (s.split(b"\0") for s in statuses)}


def test_psycopg_signs_in_over_tls_and_takes_it_for_a_redshift(endpoint: dict[str, Any]) -> None:
    with sign_in(endpoint) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.info.server_version == 80002
        assert connection.info.parameter_status("padb_version")
        assert connection.execute("SELECT current_user").fetchone() == (endpoint["user"],)


def test_the_certificate_can_be_verified_in_full(endpoint: dict[str, Any]) -> None:
    with sign_in(endpoint, sslmode="verify-full", sslrootcert=endpoint["sslrootcert"]) as one:
        assert one.pgconn.ssl_in_use


def test_a_certificate_of_somebody_else_does_not_verify_it(
    endpoint: dict[str, Any], tmp_path: Path
) -> None:
    other = tmp_path / "other.crt"
    make_certificate(other, tmp_path / "other.key")
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        sign_in(endpoint, sslmode="verify-ca", sslrootcert=str(other))


def test_a_certificate_that_lasts_is_kept(tmp_path: Path) -> None:
    certificate, key = tmp_path / "a.crt", tmp_path / "a.key"
    make_certificate(certificate, key)
    before = certificate.read_text()
    make_certificate(certificate, key)
    assert certificate.read_text() == before
    assert key.stat().st_mode & 0o077 == 0


def test_it_lets_in_without_tls_too(endpoint: dict[str, Any]) -> None:
    with sign_in(endpoint, sslmode="disable") as connection:
        assert not connection.pgconn.ssl_in_use


def test_the_startup_keys_of_redshift_drivers_are_understood(endpoint: dict[str, Any]) -> None:
    answers = start_by_hand(
        endpoint,
        client_protocol_version="2",
        driver_version="Redshift Python Driver 2.2.0",
        os_version="Linux",
        plugin_name="IdpTokenAuthPlugin",
        application_name="dashboard",
        client_encoding="UNICODE",
    )
    assert answers[0].authentication == messages.AUTH_OK
    assert reported(answers) == {
        "DateStyle": "ISO, MDY",
        "TimeZone": "UTC",
        "client_encoding": "UNICODE",
        "integer_datetimes": "on",
        "is_superuser": "off",
        "padb_version": "1.0.77467",
        "server_encoding": "UNICODE",
        "server_protocol_version": "0",
        "server_version": "8.0.2",
        "session_authorization": endpoint["user"],
    }


def test_a_startup_key_that_neither_knows_gets_postgres_own_error(endpoint: dict[str, Any]) -> None:
    answers = start_by_hand(endpoint, no_such_setting="1")
    assert answers[-1].kind == messages.ERROR
    assert b"C42704\0" in answers[-1].body


@pytest.mark.parametrize("user", ["redshift_reader", "nobody_at_all"])
def test_a_wrong_password_gets_postgres_own_error(endpoint: dict[str, Any], user: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=f'failed for user "{user}"') as caught:
        sign_in(endpoint, user=user, password="wrong")
    assert caught.value.pgconn
    assert caught.value.pgconn.used_password


def test_a_database_that_is_not_there_gets_postgres_own_error(endpoint: dict[str, Any]) -> None:
    with pytest.raises(psycopg.OperationalError, match='database "nope" does not exist'):
        sign_in(endpoint, dbname="nope")


def test_what_is_no_startup_packet_ends_the_connection(endpoint: dict[str, Any]) -> None:
    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection(endpoint["host"], endpoint["port"])
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    assert asyncio.run(asyncio.wait_for(talk(), 10)) == b""


def test_temporary_credentials_of_a_cluster_sign_in(endpoint: dict[str, Any]) -> None:
    iam = endpoint["iam"]
    found = aws_client(endpoint, "redshift").get_cluster_credentials(
        DbUser=iam["db_user"], ClusterIdentifier=iam["cluster_identifier"], DurationSeconds=900
    )
    assert found["DbUser"] == f"IAM:{iam['db_user']}"
    with sign_in(endpoint, user=found["DbUser"], password=found["DbPassword"]) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (iam["db_user"],)


def test_temporary_credentials_of_a_workgroup_sign_in(endpoint: dict[str, Any]) -> None:
    found = aws_client(endpoint, "redshift-serverless").get_credentials(
        workgroupName=endpoint["iam"]["workgroup"], dbName=endpoint["database"]
    )
    with sign_in(endpoint, user=found["dbUser"], password=found["dbPassword"]) as connection:
        assert connection.execute("SELECT count(*) FROM sales").fetchone() == (20000,)


CLUSTER = ("redshift", "get_cluster_credentials", {"DbUser": "x", "ClusterIdentifier": "x"})
WORKGROUP = ("redshift-serverless", "get_credentials", {"workgroupName": "xyz"})


@pytest.mark.parametrize(("service", "method", "arguments"), [CLUSTER, WORKGROUP])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aws_access_key_id": "AKIAAAAAAAAAAAAAAAAA"}, "InvalidClientTokenId"),
        ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
    ],
)
def test_aws_refuses_a_key_that_nobody_has(
    endpoint: dict[str, Any], service: str, method: str, arguments: Any, changes: Any, code: str
) -> None:
    client = aws_client(endpoint, service, **changes)
    with pytest.raises(ClientError) as caught:
        getattr(client, method)(**arguments)
    assert caught.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("call", "code"),
    [(CLUSTER, "ClusterNotFound"), (WORKGROUP, "ResourceNotFoundException")],
)
def test_aws_knows_one_cluster_and_one_workgroup(
    endpoint: dict[str, Any], call: tuple[str, str, dict[str, str]], code: str
) -> None:
    service, method, arguments = call
    with pytest.raises(ClientError) as caught:
        getattr(aws_client(endpoint, service), method)(**arguments)
    assert caught.value.response["Error"]["Code"] == code


def test_aws_refuses_what_the_policy_does_not_allow(endpoint: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="not authorized to perform: redshift:DescribeClusters"):
        aws_client(endpoint, "redshift").describe_clusters()


def test_a_made_up_temporary_password_is_refused(endpoint: dict[str, Any]) -> None:
    user = f"IAM:{endpoint['iam']['db_user']}"
    later = int((datetime.now(UTC) + timedelta(minutes=5)).timestamp())
    for password in ("x", f"{later}.", f"{later}.{'0' * 64}", endpoint["password"]):
        with pytest.raises(psycopg.OperationalError, match=f'failed for user "{user}"'):
            sign_in(endpoint, user=user, password=password)


def test_a_temporary_password_serves_its_own_user_until_it_expires(
    endpoint: dict[str, Any], run_face: Callable[..., AbstractContextManager[Face]]
) -> None:
    db_user, now = endpoint["iam"]["db_user"], datetime.now(UTC)
    good = temporary.password_for(db_user, now + timedelta(minutes=1), "the key")
    late = temporary.password_for(db_user, now - timedelta(seconds=1), "the key")
    with run_face(signing_key="the key") as face:
        with sign_in(face.endpoint, user=f"IAM:{db_user}", password=good) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        for user, password in ((db_user, late), (endpoint["user"], good)):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                sign_in(face.endpoint, user=f"IAM:{user}", password=password)


def test_without_postgres_it_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(ServiceFailed, match="stands on the sandbox's Postgres"),
        Sandbox(tmp_path / "box", ("redshift",)),
    ):
        pass
