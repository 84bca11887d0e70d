import os
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors import NetworkPolicy, connect
from connectors.errors import (
    CredentialsRejected,
    HostRefused,
    InvalidCredentials,
    ResourceUnusable,
    TlsFailed,
)
from connectors.providers.redshift import Redshift
from connectors.redshift.credentials import RedshiftCredentials
from sandbox.redshift.certificate import make_certificate

from .conftest import LOCAL, Open, Watcher

STEPS = [
    "resolve", "network policy", "connect", "TLS", "sign in", "usable", "read", "write refused",
]  # fmt: skip
PLACE = {"host": "wg.123456789012.eu-west-1.redshift-serverless.amazonaws.com", "database": "dev"}
KEY = {"access_key_id": "AKIAAAAAAAAAAAAAAAAA", "secret_access_key": "secret"}


@pytest.mark.parametrize("way", ["by_password", "by_cluster", "by_workgroup"])
def test_check_passes_every_step(open_one: Open, request: Any, way: str) -> None:
    report = open_one(request.getfixturevalue(way)).check()
    assert report.ok
    assert [step.name for step in report.steps] == STEPS
    assert not [step for step in report.steps if step.code]


def test_check_says_whom_it_is_and_where(open_one: Open, by_workgroup: dict[str, Any]) -> None:
    found = {step.name: step.detail for step in open_one(by_workgroup).check().steps}
    assert found["usable"] == "user iam_reader, database redshift"


@pytest.mark.parametrize(
    "right",
    [
        "INSERT ON public.sales TO",
        "DELETE ON public.sales TO",
        "CREATE ON SCHEMA public TO",
        "CREATE ON DATABASE redshift TO",
    ],
)
def test_check_warns_of_a_role_that_can_write(
    open_one: Open, owner: psycopg.Connection[Any], right: str
) -> None:
    owner.execute(f"GRANT {right} redshift_reader")
    try:
        report = open_one().check()
    finally:
        owner.execute(f"REVOKE {right.replace(' TO', ' FROM')} redshift_reader")
    assert report.ok
    assert [(step.name, step.code) for step in report.steps if step.code] == [
        ("write refused", "role_can_write")
    ]
    assert not [step for step in open_one().check().steps if step.code]


def test_the_grants_script_is_all_that_a_reader_needs(
    open_one: Open,
    endpoints: dict[str, Any],
    by_password: dict[str, Any],
    owner: psycopg.Connection[Any],
    watcher: Watcher,
) -> None:
    superuser = watcher._connection
    superuser.execute("CREATE ROLE newcomer LOGIN PASSWORD 'not-a-real-one'")
    superuser.execute("GRANT CONNECT ON DATABASE redshift TO newcomer")
    owner.execute("CREATE TABLE scratch.before AS SELECT 1 AS a")
    owner.execute("ANALYZE scratch.before")
    script = Redshift.grants.replace("<schema>", "scratch").replace("<user>", "newcomer")
    *of_owner, of_superuser = script.strip(";").split(";")
    try:
        owner.execute(";".join(of_owner))
        dsn = psycopg.conninfo.make_conninfo(
            endpoints["postgres"]["superuser_dsn"], dbname="redshift"
        )
        with psycopg.connect(dsn) as connection:
            connection.execute(of_superuser)
        owner.execute("CREATE TABLE scratch.later AS SELECT 2 AS a")
        reader = open_one(user="newcomer", password="not-a-real-one")
        assert not [step for step in reader.check().steps if step.code]
        before, later = reader.fetch_tables("scratch")
        assert (before.name, before.row_count, later.name) == ("before", 1, "later")
        for table in (before, later):
            assert reader.query(f"SELECT a FROM scratch.{table.name}").read_all().num_rows == 1
        reader.close()
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP OWNED BY newcomer")
        superuser.execute("REVOKE ALL ON DATABASE redshift FROM newcomer")
        superuser.execute("DROP ROLE newcomer")


@pytest.mark.parametrize(
    ("way", "change"),
    [
        ("by_password", {"password": "wrong"}),
        ("by_password", {"user": "nobody_at_all"}),
        ("by_cluster", {"secret_access_key": "wrong"}),
        ("by_cluster", {"access_key_id": "AKIAAAAAAAAAAAAAAAAA"}),
        ("by_cluster", {"user": "nobody_at_all"}),
        ("by_workgroup", {"secret_access_key": "wrong"}),
    ],
)
def test_check_stops_at_the_sign_in_that_fails(
    open_one: Open, request: Any, way: str, change: dict[str, Any]
) -> None:
    report = open_one(request.getfixturevalue(way), **change).check()
    assert [step.name for step in report.steps] == STEPS[:5]
    assert report.failure is not None
    assert report.failure.code == "credentials_rejected"
    assert report.failure.hint
    assert report.steps[-1].ms < 5000


@pytest.mark.parametrize(
    ("way", "field"),
    [
        ("by_cluster", "cluster_identifier"),
        ("by_workgroup", "workgroup"),
        ("by_password", "database"),
    ],
)
def test_what_is_not_there_is_named(open_one: Open, request: Any, way: str, field: str) -> None:
    warehouse = open_one(request.getfixturevalue(way), **{field: "no-such-thing"})
    with pytest.raises(ResourceUnusable) as caught:
        warehouse.query("SELECT 1")
    assert list(caught.value.fields) == [field]
    failure = warehouse.check().failure
    assert failure is not None
    assert failure.code == "resource_unusable"


@pytest.mark.parametrize("way", ["by_cluster", "by_workgroup"])
def test_an_aws_key_that_is_refused_is_named(open_one: Open, request: Any, way: str) -> None:
    with pytest.raises(CredentialsRejected) as caught:
        open_one(request.getfixturevalue(way), secret_access_key="wrong").query("SELECT 1")
    assert list(caught.value.fields) == ["secret_access_key"]


def test_a_database_user_that_aws_knows_and_the_database_does_not_is_named(
    open_one: Open, by_cluster: dict[str, Any]
) -> None:
    with pytest.raises(CredentialsRejected) as caught:
        open_one(by_cluster, user="nobody_at_all").query("SELECT 1")
    assert list(caught.value.fields) == ["user"]


def test_a_password_that_is_refused_is_named(open_one: Open) -> None:
    with pytest.raises(CredentialsRejected) as caught:
        open_one(password="wrong").query("SELECT 1")
    assert list(caught.value.fields) == ["password"]


def test_iam_signs_in_as_the_user_it_is_for(
    open_one: Open, endpoint: dict[str, Any], by_cluster: dict[str, Any]
) -> None:
    with open_one(by_cluster).query("SELECT current_user::text AS name") as result:
        assert result.read_all().to_pylist() == [{"name": endpoint["iam"]["db_user"]}]


def test_tls_is_used_unless_it_is_turned_off(open_one: Open) -> None:
    assert RedshiftCredentials.model_fields["sslmode"].default == "require"
    query = "SELECT 1"
    for mode in ("require", "disable"):
        connector = open_one(sslmode=mode)
        assert isinstance(connector, Redshift)
        connector.query(query).close()
        assert connector._connection.pgconn.ssl_in_use is (mode == "require")
        step = next(step for step in connector.check().steps if step.name == "TLS")
        assert step.detail.startswith("TLSv1." if mode == "require" else "Not used")


def test_the_certificate_is_verified_against_the_authority_given(
    open_one: Open, endpoint: dict[str, Any]
) -> None:
    authority = Path(endpoint["sslrootcert"]).read_text()
    before = set(os.listdir(tempfile.gettempdir()))
    with open_one(sslmode="verify-full", sslrootcert=authority) as connector:
        assert connector.check().ok
    left = set(os.listdir(tempfile.gettempdir())) - before
    assert not [name for name in left if name.endswith(".pem")]


def test_a_certificate_of_another_authority_is_refused(open_one: Open, tmp_path: Path) -> None:
    make_certificate(tmp_path / "other.crt", tmp_path / "other.key")
    other = (tmp_path / "other.crt").read_text()
    warehouse = open_one(sslmode="verify-ca", sslrootcert=other)
    with pytest.raises(TlsFailed):
        warehouse.query("SELECT 1")
    failure = warehouse.check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("TLS", "tls_failed")


def test_without_an_authority_the_public_ones_decide(open_one: Open) -> None:
    with pytest.raises(TlsFailed):
        open_one(sslmode="verify-full").query("SELECT 1")


@pytest.mark.parametrize(
    ("given", "field", "sentence"),
    [
        ({}, "password user", "user with password; or user with cluster_identifier; or workgroup"),
        ({"password": "p"}, "user", "one way"),
        ({"user": "u", "password": ""}, "password", "not be empty"),
        ({"user": "u", "password": "p"} | KEY, "cluster_identifier", "one way"),
        (
            {"user": "u", "cluster_identifier": "c", "password": "p"},
            "cluster_identifier",
            "one way",
        ),
        ({"user": "u", "cluster_identifier": "c", "workgroup": "wgr"}, "workgroup", "one way"),
        ({"user": "u", "cluster_identifier": "No Cluster"}, "cluster_identifier", "example"),
        ({"workgroup": "wgr", "access_key_id": KEY["access_key_id"]}, "secret_access_key", "two"),
        ({"workgroup": "wgr", "secret_access_key": "s"}, "secret_access_key", "two halves"),
        ({"workgroup": "wgr", "host": "warehouse.example.com"}, "region", "AWS region"),
        ({"workgroup": "wgr", "region": "evil.example.com/"}, "region", "AWS region"),
        ({"user": "u", "password": "p", "sslrootcert": "/etc/passwd"}, "sslrootcert", "PEM"),
        ({"user": "u", "password": "p", "sslmode": "prefer"}, "sslmode", "Input should be"),
        ({"user": "u", "password": "p", "shoe_size": "9"}, "shoe_size", "no such field"),
    ],
)
def test_a_form_that_cannot_work_says_which_field(
    given: dict[str, Any], field: str, sentence: str
) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        connect("redshift", PLACE | given)
    assert sorted(caught.value.fields) == field.split()
    assert all(sentence in said for said in caught.value.fields.values())


def test_every_field_of_the_form_is_explained() -> None:
    form = RedshiftCredentials.form()
    for field in form["properties"].values():
        assert field["title"]
        assert field["description"]
    assert RedshiftCredentials.parse(form["examples"][0]).reveal() == form["examples"][0]


def test_secrets_are_marked_and_masked() -> None:
    form = RedshiftCredentials.parse(PLACE | KEY | {"workgroup": "wgr", "session_token": "tokens"})
    assert form.secret_fields() == {"password", "secret_access_key", "session_token"}
    assert form.mask("secret and tokens") == "*** and ***"
    assert "secret" not in repr(form.aws_key())


def test_region_and_kind_are_read_from_amazons_host_names() -> None:
    workgroup = RedshiftCredentials.parse(PLACE | KEY | {"workgroup": "wgr"})
    assert workgroup.aws_region() == "eu-west-1"
    assert workgroup.api_url() == "https://redshift-serverless.eu-west-1.amazonaws.com"
    place = {"host": "c1.abc.cn-north-1.redshift.amazonaws.com.cn", "database": "dev"}
    cluster = RedshiftCredentials.parse(place | KEY | {"cluster_identifier": "c1", "user": "u"})
    assert cluster.api_url() == "https://redshift.cn-north-1.amazonaws.com.cn"
    assert (workgroup.is_serverless(), cluster.is_serverless()) == (True, False)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest/meta-data/",
        "https://redshift.us-east-1.amazonaws.com.evil.example/",
        "https://evil.example/redshift.us-east-1.amazonaws.com",
        "https://s3.us-east-1.amazonaws.com/",
        "http://redshift.us-east-1.amazonaws.com/",
        "file:///etc/passwd",
    ],
)
def test_an_aws_endpoint_that_is_not_amazons_is_refused(
    open_one: Open, by_cluster: dict[str, Any], url: str
) -> None:
    policy = NetworkPolicy.allowing([f"{by_cluster['host']}:{by_cluster['port']}"])
    with pytest.raises(HostRefused):
        open_one(by_cluster, network=policy, iam_endpoint=url).query("SELECT 1")


def test_the_operator_can_allow_an_endpoint_of_his_own(
    open_one: Open, by_cluster: dict[str, Any]
) -> None:
    with pytest.raises(HostRefused):
        open_one(by_cluster, network=NetworkPolicy()).query("SELECT 1")
    open_one(by_cluster, network=LOCAL).query("SELECT 1").close()


def test_the_services_own_aws_identity_is_for_hosts_its_operator_has_listed(
    open_one: Open, endpoint: dict[str, Any], by_cluster: dict[str, Any], monkeypatch: Any
) -> None:
    iam = endpoint["iam"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", iam["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", iam["secret_access_key"])
    keyless = {name: value for name, value in by_cluster.items() if name not in KEY}
    with pytest.raises(InvalidCredentials) as caught:
        open_one(keyless, network=LOCAL).query("SELECT 1")
    assert list(caught.value.fields) == ["access_key_id"]
    host = by_cluster["host"]
    allowed = open_one(keyless, own_identity=frozenset({f"redshift:{host}"}))
    assert allowed.check().ok
    for other in (f"postgres:{host}", "redshift:warehouse.example.com"):
        with pytest.raises(InvalidCredentials):
            open_one(keyless, own_identity=frozenset({other})).query("SELECT 1")


def test_without_any_aws_identity_the_sign_in_is_rejected(
    open_one: Open, by_cluster: dict[str, Any], monkeypatch: Any, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    keyless = {name: value for name, value in by_cluster.items() if name not in KEY}
    own = frozenset({f"redshift:{by_cluster['host']}"})
    with pytest.raises(CredentialsRejected, match="no AWS identity"):
        open_one(keyless, own_identity=own).query("SELECT 1")


def test_a_dead_aws_endpoint_is_unreachable(open_one: Open, by_cluster: dict[str, Any]) -> None:
    report = open_one(by_cluster, iam_endpoint="http://127.0.0.1:1").check()
    assert report.failure is not None
    assert (report.failure.name, report.failure.code) == ("connect", "host_unreachable")
