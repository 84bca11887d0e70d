"""AWS KMS as the key ring, against moto's server over HTTP."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from moto.server import ThreadedMotoServer
from rest_framework.test import APIClient

from sandbox.services.base import free_port
from tests.api.shapes import problem
from tests.warehouse.conftest import UseRing, new_key
from warehouse import secrets
from warehouse.checks import stored_credentials_can_be_read
from warehouse.errors import CredentialsUnreadable, KeysUnavailable
from warehouse.models import WarehouseConnection
from warehouse.secrets import Envelope

HERE = "team:a/connection:1"
VALUES = {"password": "secret"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "moto")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.fixture
def kms(endpoint: str, _account: None) -> Any:
    return boto3.client("kms", endpoint_url=endpoint)


@pytest.fixture
def key_id(kms: Any) -> str:
    made: str = kms.create_key()["KeyMetadata"]["KeyId"]
    return made


@pytest.fixture
def _on_kms(use_ring: UseRing, endpoint: str, key_id: str) -> None:
    use_ring(WAREHOUSE_KEYS="", WAREHOUSE_KMS_KEY_ID=key_id, WAREHOUSE_KMS_ENDPOINT=endpoint)


@pytest.mark.usefixtures("_on_kms")
def test_data_keys_are_wrapped_by_kms_under_the_record(kms: Any, key_id: str) -> None:
    sealed = secrets.encrypt(VALUES, HERE)
    assert secrets.decrypt(sealed, HERE) == VALUES
    envelope = Envelope.load(sealed)
    assert envelope.key_id == f"kms:{key_id}"
    opened = kms.decrypt(CiphertextBlob=envelope.wrapped_key, EncryptionContext={"record": HERE})
    assert len(opened["Plaintext"]) == 32


@pytest.mark.usefixtures("_on_kms")
def test_kms_refuses_another_record_and_a_changed_blob() -> None:
    sealed = secrets.encrypt(VALUES, HERE)
    with pytest.raises(CredentialsUnreadable):
        secrets.decrypt(sealed, "team:b/connection:1")
    envelope = Envelope.load(sealed)
    broken = Envelope(1, envelope.key_id, b"nonsense", envelope.nonce, envelope.ciphertext)
    with pytest.raises(CredentialsUnreadable):
        secrets.decrypt(broken.dump(), HERE)


@pytest.mark.usefixtures("_on_kms")
@pytest.mark.django_db
def test_api_works_on_kms_and_says_when_it_is_away(
    alice: APIClient,
    connections_url: str,
    credentials: dict[str, Any],
    use_ring: UseRing,
    endpoint: str,
) -> None:
    body = {"name": "shop", "provider": "postgres", "credentials": credentials["postgres"]}
    made = alice.post(connections_url, body)
    assert made.status_code == 201
    use_ring(WAREHOUSE_KMS_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    test_url = f"{connections_url}{made.json()['id']}/test/"
    assert problem(alice.post(test_url), 503, "keys_unavailable")["retryable"]
    problem(alice.post(connections_url, body | {"name": "two"}), 503, "keys_unavailable")
    assert WarehouseConnection.all_teams.count() == 1
    assert [found.id for found in stored_credentials_can_be_read(["default"])] == ["warehouse.E001"]
    use_ring(WAREHOUSE_KMS_ENDPOINT=endpoint)
    assert alice.post(test_url).json()["ok"]


@pytest.mark.django_db
def test_service_moves_from_local_keys_to_kms_and_on_to_another_key(
    shop: WarehouseConnection, use_ring: UseRing, endpoint: str, kms: Any, key_id: str
) -> None:
    def key_in_use() -> str:
        row = WarehouseConnection.all_teams.get(pk=shop.pk)
        assert row.read_credentials() == before
        return Envelope.load(row.encrypted_credentials).key_id

    before = shop.read_credentials()
    use_ring(WAREHOUSE_KMS_KEY_ID=key_id, WAREHOUSE_KMS_ENDPOINT=endpoint)
    assert not key_in_use().startswith("kms:")
    call_command("rotate_credentials", verbosity=0)
    assert key_in_use() == f"kms:{key_id}"
    second = kms.create_key()["KeyMetadata"]["KeyId"]
    use_ring(WAREHOUSE_KEYS="", WAREHOUSE_KMS_KEY_ID=second)
    call_command("rotate_credentials", verbosity=0)
    assert key_in_use() == f"kms:{second}"


@pytest.mark.usefixtures("_on_kms")
def test_envelope_of_a_local_key_needs_the_local_key(use_ring: UseRing, key_id: str) -> None:
    use_ring(WAREHOUSE_KEYS=new_key("k1"), WAREHOUSE_KMS_KEY_ID="")
    sealed = secrets.encrypt(VALUES, HERE)
    use_ring(WAREHOUSE_KEYS="", WAREHOUSE_KMS_KEY_ID=key_id)
    with pytest.raises(CredentialsUnreadable):
        secrets.decrypt(sealed, HERE)


@pytest.mark.usefixtures("_on_kms")
@pytest.mark.django_db
def test_rotation_stops_when_kms_is_away(
    shop: WarehouseConnection, use_ring: UseRing, key_id: str
) -> None:
    shop.set_credentials({"password": "x"})
    shop.save()
    away = f"http://127.0.0.1:{free_port()}"
    use_ring(WAREHOUSE_KMS_KEY_ID=f"alias/{key_id}", WAREHOUSE_KMS_ENDPOINT=away)
    with pytest.raises(CommandError, match="key service"):
        call_command("rotate_credentials", verbosity=0)


def test_kms_without_a_region_is_told_at_start(
    use_ring: UseRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    use_ring(WAREHOUSE_KMS_KEY_ID="alias/x", WAREHOUSE_KMS_ENDPOINT="")
    with pytest.raises(ImproperlyConfigured, match="region"):
        secrets.key_ring()


def test_wrap_that_kms_refuses_is_no_plain_text(use_ring: UseRing, endpoint: str) -> None:
    use_ring(WAREHOUSE_KMS_KEY_ID="no-such-key", WAREHOUSE_KMS_ENDPOINT=endpoint)
    with pytest.raises(KeysUnavailable):
        secrets.encrypt(VALUES, HERE)
