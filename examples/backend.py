"""A small backend that prints the calls of workers.

Run it with `python -m examples.backend --port 50050`. It is the other half of the contract: a
worker finds it under the `--target` that the supervisor puts into its arguments, which comes from
GRPC_CALLBACK_HOST and GRPC_CALLBACK_PORT.
"""

import argparse
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToJson

from service._generated.area_back_pb2 import JobError
from service._generated.area_back_pb2_grpc import (
    AreaBackServiceServicer,
    add_AreaBackServiceServicer_to_server,
)
from service._generated.area_types_pb2 import JobData


@dataclass(frozen=True, slots=True)
class Call:
    """A call from a worker. `traceparent` is empty if the worker sent none."""

    method: str
    identifier: str
    content: str
    traceparent: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __str__(self) -> str:
        """The call in one line."""
        trace = f"  traceparent={self.traceparent}" if self.traceparent else ""
        return f"{self.at:%H:%M:%S.%f}  {self.method}  {self.identifier}  {self.content}{trace}"


class Backend(AreaBackServiceServicer):
    """Passes every call to a function, and answers it."""

    def __init__(self, on_call: Callable[[Call], None]) -> None:
        self._on_call = on_call

    def OnAction(self, request: JobData, context: grpc.ServicerContext) -> Empty:  # noqa: N802
        """Receive the data of an action. A real backend would start the workflow's reactions."""
        return self._told("OnAction", request.identifier, _json(request), context)

    def OnReaction(self, request: JobData, context: grpc.ServicerContext) -> Empty:  # noqa: N802
        """Receive the success of a reaction."""
        return self._told("OnReaction", request.identifier, _json(request), context)

    def OnError(self, request: JobError, context: grpc.ServicerContext) -> Empty:  # noqa: N802
        """Receive an error. With `isAuthError`, a real backend would ask for a new login."""
        return self._told("OnError", request.identifier, request.error, context)

    def _told(
        self, method: str, identifier: str, content: str, context: grpc.ServicerContext
    ) -> Empty:
        metadata = {item[0]: str(item[1]) for item in context.invocation_metadata()}
        self._on_call(Call(method, identifier, content, metadata.get("traceparent", "")))
        return Empty()


def serve(address: str, on_call: Callable[[Call], None]) -> tuple[grpc.Server, int]:
    """Start a backend, with port 0 on a free port. Return the server and its port."""
    # Fail if the port is taken: by default, a second server would silently share it.
    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)])
    add_AreaBackServiceServicer_to_server(Backend(on_call), server)
    port = server.add_insecure_port(address)
    server.start()
    return server, port


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="Print what workers tell the backend.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=50050, help="the port to listen on")
    options = parser.parse_args()
    try:
        server, port = serve(f"{options.host}:{options.port}", lambda call: print(call, flush=True))
    except RuntimeError as error:
        parser.exit(1, f"backend: {error}\n")
    print(f"The backend listens on {options.host}:{port}.", flush=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    server.stop(grace=1).wait()


def _json(data: JobData) -> str:
    return MessageToJson(data.params, indent=None)


if __name__ == "__main__":
    main()
