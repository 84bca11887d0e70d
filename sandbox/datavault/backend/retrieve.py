"""The gRPC service `DataVault`: one record, decrypted, for a caller who holds the token."""

import hmac
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NoReturn

import grpc
import psycopg
from psycopg_pool import ConnectionPool

from sandbox.datavault.cipher import Cipher
from sandbox.datavault.errors import BadSetting, RecordDamaged
from sandbox.datavault.proto.datavault_pb2 import RetrieveRequest, RetrieveResponse
from sandbox.datavault.proto.datavault_pb2_grpc import (
    DataVaultServicer,
    add_DataVaultServicer_to_server,
)
from sandbox.datavault.settings import check_database_url

THREADS = 4
TIMEOUT_S = 5
SELECT = """
select payload, metadata::text, created_at, updated_at from records where tenant = %s and key = %s
"""


class RetrieveService(DataVaultServicer):
    """Answers Retrieve; every failure is a status and a sentence that gives nothing away."""

    def __init__(self, pool: ConnectionPool, cipher: Cipher, token: str) -> None:
        self._pool = pool
        self._cipher = cipher
        self._authorization = f"Bearer {token}".encode()

    def Retrieve(  # noqa: N802 - the .proto names it
        self, request: RetrieveRequest, context: grpc.ServicerContext
    ) -> RetrieveResponse:
        self._authorise(context)
        # Postgres text cannot hold NUL, so no record has such a name.
        if not request.tenant or not request.key or "\0" in request.tenant + request.key:
            _fail(context, "INVALID_ARGUMENT", "Give a tenant and a key, without NUL characters.")
        row = self._fetch(request, context)
        if row is None:
            _fail(context, "NOT_FOUND", "This tenant has no record with that key.")
        payload, metadata, created_at, updated_at = row
        try:
            plaintext = self._cipher.open(request.tenant, request.key, payload)
        except RecordDamaged as error:
            _fail(context, "DATA_LOSS", str(error))
        return RetrieveResponse(
            plaintext=plaintext, metadata=metadata, created_at=created_at, updated_at=updated_at
        )

    def _authorise(self, context: grpc.ServicerContext) -> None:
        given = dict(context.invocation_metadata()).get("authorization", "")
        if not hmac.compare_digest(given.encode(), self._authorization):
            _fail(context, "UNAUTHENTICATED", "Send the metadata `authorization: Bearer <token>`.")

    def _fetch(
        self, request: RetrieveRequest, context: grpc.ServicerContext
    ) -> psycopg.rows.TupleRow | None:
        try:
            with self._pool.connection() as connection:
                return connection.execute(SELECT, (request.tenant, request.key)).fetchone()
        except psycopg.Error:
            _fail(context, "UNAVAILABLE", "The database does not answer. Try again later.")


@contextmanager
def serving(database_url: str, key: bytes, token: str, address: str) -> Iterator[int]:
    """Serve Retrieve at `address`, without TLS; yield the port. Port 0 picks a free one."""
    options = {"autocommit": True, "options": f"-c statement_timeout={TIMEOUT_S}s"}
    url = check_database_url(database_url)
    with ConnectionPool(url, max_size=THREADS, timeout=TIMEOUT_S, kwargs=options) as pool:
        # Without this a second backend would share the port and answer some of the calls.
        server = grpc.server(ThreadPoolExecutor(THREADS), options=[("grpc.so_reuseport", 0)])
        add_DataVaultServicer_to_server(RetrieveService(pool, Cipher(key), token), server)
        try:
            port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise BadSetting(
                f"Retrieve cannot be served at {address}. "
                "Set DATAVAULT_GRPC_ADDRESS to a free host:port."
            ) from error
        server.start()
        try:
            yield port
        finally:
            server.stop(grace=TIMEOUT_S).wait()


def _fail(context: grpc.ServicerContext, status: str, sentence: str) -> NoReturn:
    context.abort(grpc.StatusCode[status], sentence)
    raise AssertionError("abort() always raises")
