"""The health service of gRPC: which statuses there are, and which of them follow readiness.

`""` and the other services follow readiness. `liveness` is NOT_SERVING only if
nothing but a restart of the process can help.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md. grpcio's own servicer has
no List, sets statuses only in a coroutine, and an open Watch delays a stop for its whole grace.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import (  # type: ignore[attr-defined]  # newer than its types
    DESCRIPTOR,
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)
from grpc_health.v1.health_pb2_grpc import HealthServicer, add_HealthServicer_to_server

from observability.escaping import shown
from service.api.services import GrpcService

LIVENESS = "liveness"


class Health(HealthServicer):
    """Answers Check, List and Watch."""

    def __init__(self, *services: str) -> None:
        """`services` are the names that follow readiness."""
        self._follow_readiness = ("", *services)
        self._status: dict[str, Any] = {LIVENESS: HealthCheckResponse.SERVING}
        self._changed = asyncio.Event()
        self._closing = False
        self.set_ready(False)

    def as_service(self) -> GrpcService:
        return GrpcService(
            DESCRIPTOR.services_by_name["Health"],
            partial(add_HealthServicer_to_server, self),
            traced=False,
            follows_readiness=False,
            close=self.close,
        )

    def set_ready(self, ready: bool) -> None:
        """Set the status of everything that follows readiness."""
        status = HealthCheckResponse.SERVING if ready else HealthCheckResponse.NOT_SERVING
        for service in self._follow_readiness:
            self._status[service] = status
        self._wake()

    def set_alive(self, *, alive: bool) -> None:
        """Set the status of `liveness`."""
        serving, not_serving = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
        self._status[LIVENESS] = serving if alive else not_serving
        self._wake()

    def close(self) -> None:
        """Send the last status to each open Watch, and end it."""
        self._closing = True
        self._wake()

    async def Check(self, request: HealthCheckRequest, context: Any) -> HealthCheckResponse:
        """The status of a service; NOT_FOUND for an unknown one."""
        status = self._status.get(request.service)
        if status is None:
            details = f"no service {shown(request.service)} here"
            await context.abort(grpc.StatusCode.NOT_FOUND, details)
        return HealthCheckResponse(status=status)

    async def List(self, request: HealthListRequest, context: Any) -> HealthListResponse:
        statuses = {name: HealthCheckResponse(status=s) for name, s in self._status.items()}
        return HealthListResponse(statuses=statuses)

    async def Watch(
        self, request: HealthCheckRequest, context: Any
    ) -> AsyncIterator[HealthCheckResponse]:
        """The status of a service now, and whenever it changes."""
        sent = None
        while True:
            changed = self._changed
            status = self._status.get(request.service, HealthCheckResponse.SERVICE_UNKNOWN)
            if status != sent:
                yield HealthCheckResponse(status=status)
                sent = status  # the status may have changed during the yield
            elif self._closing:
                return
            else:
                await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
