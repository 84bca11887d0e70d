"""The gRPC call, by a real client over a real port."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from sandbox.datavault.backend import drain
from sandbox.datavault.backend.retrieve import serving
from sandbox.datavault.errors import BadSetting
from sandbox.datavault.ingest import ingest
from sandbox.datavault.proto.datavault_pb2 import RetrieveRequest, RetrieveResponse
from sandbox.datavault.proto.datavault_pb2_grpc import DataVaultStub
from sandbox.datavault.records import sample_record

from .conftest import NO_PROXY, Vault

Retrieve = Callable[..., RetrieveResponse]


def client(port: int, token: str) -> Retrieve:
    def retrieve(tenant: str, key: str, authorization: str = f"Bearer {token}") -> RetrieveResponse:
        with grpc.insecure_channel(f"127.0.0.1:{port}", NO_PROXY) as channel:
            return DataVaultStub(channel).Retrieve(
                RetrieveRequest(tenant=tenant, key=key),
                timeout=10,
                metadata=(("authorization", authorization),) if authorization else (),
            )

    return retrieve


@pytest.fixture
def retrieve(vault: Vault) -> Iterator[Retrieve]:
    ingest(vault.redis_url, vault.key, first=0, count=20, seed=1)
    drain(vault.redis_url, vault.database_url)
    with serving(vault.database_url, vault.key, vault.token, "127.0.0.1:0") as port:
        yield client(port, vault.token)


def refused(status: grpc.StatusCode, call: Callable[[], object]) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() == status
    return caught.value.details()


def test_the_caller_with_the_token_gets_the_plaintext(retrieve: Retrieve):
    for number in range(20):
        record = sample_record(1, number)

        answer = retrieve(record.tenant, record.key)

        assert answer.plaintext == record.plaintext
        assert json.loads(answer.metadata) == json.loads(record.metadata)


def test_times_are_when_it_was_stored(retrieve: Retrieve):
    record = sample_record(1, 0)

    answer = retrieve(record.tenant, record.key)

    created_at = answer.created_at.ToDatetime(UTC)
    assert datetime.now(UTC) - timedelta(minutes=1) < created_at <= datetime.now(UTC)
    assert answer.updated_at == answer.created_at


@pytest.mark.parametrize(
    "authorization", ["", "Bearer wrong", "token-that-no-log-may-show", "Bearer "]
)
def test_without_the_token_nothing_is_told(retrieve: Retrieve, authorization: str):
    record = sample_record(1, 0)
    for key in (record.key, "no such key", ""):
        details = refused(
            grpc.StatusCode.UNAUTHENTICATED,
            lambda key=key: retrieve(record.tenant, key, authorization),
        )
        assert details == "Send the metadata `authorization: Bearer <token>`."


def test_a_key_of_another_tenant_is_not_found(retrieve: Retrieve):
    record = sample_record(1, 0)

    refused(grpc.StatusCode.NOT_FOUND, lambda: retrieve("stranger", record.key))
    refused(grpc.StatusCode.NOT_FOUND, lambda: retrieve(record.tenant, "1-99999999"))


@pytest.mark.parametrize(("tenant", "key"), [("", "k"), ("t", ""), ("t\0", "k"), ("t", "\0")])
def test_a_name_that_no_record_can_have_is_invalid(retrieve: Retrieve, tenant: str, key: str):
    refused(grpc.StatusCode.INVALID_ARGUMENT, lambda: retrieve(tenant, key))


def test_a_record_copied_to_another_tenant_does_not_open(vault: Vault, retrieve: Retrieve):
    record = sample_record(1, 0)
    vault.execute("insert into records select 'thief', key, payload, metadata from records")

    details = refused(grpc.StatusCode.DATA_LOSS, lambda: retrieve("thief", record.key))

    assert details.startswith("The stored record does not open")


def test_a_database_that_fails_is_unavailable_and_says_nothing_of_itself(
    vault: Vault, retrieve: Retrieve
):
    vault.execute("drop table records")

    details = refused(grpc.StatusCode.UNAVAILABLE, lambda: retrieve("t", "k"))

    assert details == "The database does not answer. Try again later."


def test_a_port_in_use_is_a_sentence(vault: Vault):
    with serving(vault.database_url, vault.key, vault.token, "127.0.0.1:0") as port:
        again = serving(vault.database_url, vault.key, vault.token, f"127.0.0.1:{port}")
        with pytest.raises(BadSetting, match="Set DATAVAULT_GRPC_ADDRESS to a free"), again:
            pass
