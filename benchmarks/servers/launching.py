"""A gRPC server that only launches: it makes the bare Engine's two requests in a thread.

python -m benchmarks.servers.launching ENGINE_SOCKET PORT
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from grpc import aio

from benchmarks.bare_engine import BareEngine
from benchmarks.calls import number_of
from benchmarks.servers.layers import EmptyService
from service._generated.area_supervisor_pb2_grpc import add_AreaSupervisorServiceServicer_to_server
from service._generated.area_types_pb2 import AuthenticatedJobData, Response
from service.app import event_loop

_THREADS = 16  # as many as there are launches at once


class _Launches(EmptyService):
    """Launches containers, without limits, exits and errors."""

    def __init__(self, engine: BareEngine) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(_THREADS)

    async def LaunchJob(self, request: AuthenticatedJobData, context: Any) -> Response:
        loop, number = asyncio.get_running_loop(), number_of(request.identifier)
        await loop.run_in_executor(self._pool, self._engine.launch, number)
        return Response()


def main(
    engine_socket: Annotated[Path, typer.Argument()],
    port: Annotated[int, typer.Argument()],
) -> None:
    """Serve until killed. New containers get the options of the running one."""
    engine = BareEngine(engine_socket)
    engine.copy_options(engine.only_container())
    event_loop.run(_serve(engine, port))


async def _serve(engine: BareEngine, port: int) -> None:
    server = aio.server(options=[("grpc.so_reuseport", 0)])
    add_AreaSupervisorServiceServicer_to_server(_Launches(engine), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    event_loop.tune_garbage_collection()
    await server.wait_for_termination()


if __name__ == "__main__":
    typer.run(main)
