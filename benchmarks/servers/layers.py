"""gRPC servers for comparison: empty handlers, and then one more of our layers each.

python -m benchmarks.servers.layers LAYER [--tls] PORT
"""

import asyncio
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from google.protobuf.empty_pb2 import Empty
from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer, add_HealthServicer_to_server
from opentelemetry.instrumentation.grpc import aio_server_interceptor

from benchmarks.calls import ACTION, LISTED_JOBS, identifier_of
from benchmarks.servers.service import Service, new_certificates, new_metrics
from observability.interceptor import CallObserver, ObservedMethod
from observability.log_writer import LogWriter
from observability.logs import configure_logs
from observability.tracing import configure_tracing
from service._generated.area_supervisor_pb2 import Job, JobId, JobList
from service._generated.area_supervisor_pb2_grpc import (
    AreaSupervisorServiceServicer,
    add_AreaSupervisorServiceServicer_to_server,
)
from service._generated.area_types_pb2 import AuthenticatedJobData, Response
from service.api.jobs_service import SERVICE, in_band_error
from service.api.tls import server_credentials
from service.app import event_loop
from service.support.tls_files import Certificates

_METHODS = [
    ObservedMethod(f"{SERVICE}/{name}", traced=True, error_in=in_band_error)
    for name in ("LaunchJob", "KillJob", "KillAllJobs", "ListJobs")
]


class Layer(StrEnum):
    """The layers. Each server includes the layers before it."""

    BARE = "bare"  # grpc.aio and empty handlers
    TRACING = "tracing"  # OpenTelemetry's own interceptor
    LOOP = "loop"  # uvloop in place of asyncio's own loop
    METRICS = "metrics"  # our interceptor, which counts, times, and wraps each method once
    SERVICE = "service"  # jobs service, use cases and registry; no logs
    LOGS = "logs"  # everything


class EmptyService(AreaSupervisorServiceServicer):
    """Answers every call with success, and does nothing."""

    _jobs = JobList(
        jobs=[
            Job(name=ACTION, identifier=identifier_of(number), status="running")
            for number in range(LISTED_JOBS)
        ]
    )

    async def LaunchJob(self, request: AuthenticatedJobData, context: Any) -> Response:
        return Response()

    async def KillJob(self, request: JobId, context: Any) -> Response:
        return Response()

    async def KillAllJobs(self, request: Empty, context: Any) -> Response:
        return Response()

    async def ListJobs(self, request: Empty, context: Any) -> JobList:
        return self._jobs


class _EmptyHealth(HealthServicer):
    async def Check(self, request: HealthCheckRequest, context: Any) -> HealthCheckResponse:
        return HealthCheckResponse(status=HealthCheckResponse.SERVING)


def main(
    layer: Annotated[Layer, typer.Argument()],
    port: Annotated[int, typer.Argument()],
    tls: Annotated[bool, typer.Option("--tls")] = False,
) -> None:
    """Serve until killed."""
    level = "info" if layer is Layer.LOGS else "error"
    configure_logs(level=level, console=False, write=LogWriter(sys.stdout.fileno()).write)
    if layer is not Layer.BARE:
        configure_tracing("bench", "0", "bench")
    run = asyncio.run if layer in (Layer.BARE, Layer.TRACING) else event_loop.run
    certificates = new_certificates() if tls else None
    run(_serve(layer, port, certificates))


async def _serve(layer: Layer, port: int, certificates: Certificates | None) -> None:
    latest = (lambda: certificates) if certificates else None
    if layer in (Layer.SERVICE, Layer.LOGS):
        async with Service(port, latest).running():
            event_loop.tune_garbage_collection()
            await asyncio.Event().wait()
    server = _empty_server(layer)
    if latest:
        server.add_secure_port(f"127.0.0.1:{port}", server_credentials(latest))
    else:
        server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def _empty_server(layer: Layer) -> aio.Server:
    server = aio.server(interceptors=_interceptors(layer), options=[("grpc.so_reuseport", 0)])
    add_AreaSupervisorServiceServicer_to_server(EmptyService(), server)
    add_HealthServicer_to_server(_EmptyHealth(), server)
    return server


def _interceptors(layer: Layer) -> list[aio.ServerInterceptor]:
    if layer is Layer.BARE:
        return []
    tracing = aio_server_interceptor()  # type: ignore[no-untyped-call]
    return [CallObserver(new_metrics(), _METHODS, tracing) if layer is Layer.METRICS else tracing]


if __name__ == "__main__":
    typer.run(main)
