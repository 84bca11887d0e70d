# Written by hand, unlike the files beside it: the gRPC plugin makes no types.
# ruff: noqa: N802 - the .proto gives the names
import grpc

from sandbox.datavault.proto.datavault_pb2 import RetrieveRequest, RetrieveResponse

class DataVaultStub:
    def __init__(self, channel: grpc.Channel) -> None: ...
    def Retrieve(
        self,
        request: RetrieveRequest,
        timeout: float | None = ...,
        metadata: tuple[tuple[str, str], ...] | None = ...,
    ) -> RetrieveResponse: ...

class DataVaultServicer:
    def Retrieve(
        self, request: RetrieveRequest, context: grpc.ServicerContext
    ) -> RetrieveResponse: ...

def add_DataVaultServicer_to_server(servicer: DataVaultServicer, server: grpc.Server) -> None: ...
