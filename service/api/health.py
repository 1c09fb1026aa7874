"""The health service of gRPC: `""` and our service follow readiness, `liveness` the process.

`liveness` is NOT_SERVING only where a new start of the process helps, and nothing else does.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md. Not grpcio's own servicer:
its Watch writes to the context instead of yielding, so that what we put around a stream does not
fit it; and it cannot be ended, so that one open Watch would hold up a stop for its whole grace.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import (  # type: ignore[attr-defined]  # newer than its types
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)
from grpc_health.v1.health_pb2_grpc import HealthServicer

from observability.printable import shown

LIVENESS = "liveness"


class Health(HealthServicer):
    """Answers Check and Watch."""

    def __init__(self, service: str) -> None:
        self._follow_readiness = ("", service)
        self._status: dict[str, Any] = {LIVENESS: HealthCheckResponse.SERVING}
        self._changed = asyncio.Event()
        self._closing = False
        self.set_ready(False)

    def set_ready(self, ready: bool) -> None:
        """Say SERVING or NOT_SERVING for what follows readiness."""
        status = HealthCheckResponse.SERVING if ready else HealthCheckResponse.NOT_SERVING
        for service in self._follow_readiness:
            self._status[service] = status
        self._wake()

    def set_alive(self, *, alive: bool) -> None:
        """Say SERVING or NOT_SERVING for the process."""
        serving, not_serving = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
        self._status[LIVENESS] = serving if alive else not_serving
        self._wake()

    def close(self) -> None:
        """Send the last status to every Watch, and end it."""
        self._closing = True
        self._wake()

    async def Check(self, request: HealthCheckRequest, context: Any) -> HealthCheckResponse:
        """The status of one service; NOT_FOUND for one that is not here."""
        status = self._status.get(request.service)
        if status is None:
            told = f"no service {shown(request.service)} here"
            await context.abort(grpc.StatusCode.NOT_FOUND, told)
        return HealthCheckResponse(status=status)

    async def List(self, request: HealthListRequest, context: Any) -> HealthListResponse:
        """The status of every service."""
        statuses = {name: HealthCheckResponse(status=s) for name, s in self._status.items()}
        return HealthListResponse(statuses=statuses)

    async def Watch(
        self, request: HealthCheckRequest, context: Any
    ) -> AsyncIterator[HealthCheckResponse]:
        """The status of one service now, and whenever it changes."""
        sent = None
        while True:
            changed = self._changed
            status = self._status.get(request.service, HealthCheckResponse.SERVICE_UNKNOWN)
            if status != sent:
                yield HealthCheckResponse(status=status)
                sent = status  # and it may have changed meanwhile
            elif self._closing:
                return
            else:
                await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
