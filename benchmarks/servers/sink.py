"""A collector that accepts spans over OTLP/gRPC, and drops them unread.

python -m benchmarks.servers.sink PORT
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

_EXPORT: "grpc.RpcMethodHandler[bytes, bytes]" = grpc.unary_unary_rpc_method_handler(
    lambda _, __: b""
)


class _Everything(grpc.GenericRpcHandler):
    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """The handler for any method."""
        del handler_call_details
        return _EXPORT


def main(port: str) -> None:
    """Serve until killed."""
    server = grpc.server(ThreadPoolExecutor(2), handlers=[_Everything()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1])
