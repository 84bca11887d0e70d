"""The messages on the stream and the gRPC service, generated from `datavault.proto`.

Generate them again, from the top of the repository, with::

    python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. \\
        sandbox/datavault/proto/datavault.proto

`datavault_pb2_grpc.pyi` is written by hand: the gRPC plugin makes no types.
"""
