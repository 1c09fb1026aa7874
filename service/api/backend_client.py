"""Calls the backend, as a worker does: without TLS, and not through a proxy.

gRPC may report that a call has failed, but not whether the backend has received it. So a connection
is made first, and is known to work before anything is sent.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from observability.spans import trace_metadata
from service import __version__
from service._generated.area_back_pb2 import JobError
from service._generated.area_back_pb2_grpc import AreaBackServiceStub
from service.crash_reports.backend import BackendAway, ReportFailed

# How long a connection and an answer may take (seconds).
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # or a connection of an earlier channel would be used
    ("grpc.primary_user_agent", f"area-supervisor/{__version__}"),
]


class BackendClient:
    """The backend at HOST:PORT."""

    def __init__(self, target: str) -> None:
        self.target = target

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["_Connection"]:
        """A new connection, which works. Raises `BackendAway`."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._knock()
        except TimeoutError:
            raise BackendAway(f"no connection within {_CONNECT_SECONDS:g} s") from None
        except OSError as error:
            raise BackendAway(str(error)) from error
        async with grpc.aio.insecure_channel(self.target, _OPTIONS) as channel:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await channel.channel_ready()
            except TimeoutError:
                raise BackendAway(
                    "the port is open, but nothing there speaks gRPC without TLS"
                ) from None
            yield _Connection(channel)

    async def _knock(self) -> None:
        """Open the port, and close it: gRPC would not say why it cannot connect."""
        host, _, port = self.target.rpartition(":")
        _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.close()


class _Connection:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = AreaBackServiceStub(channel)

    async def report(self, identifier: str, reason: str) -> None:
        """Tell why a job has failed. Raises `ReportFailed`."""
        message = JobError(identifier=identifier, error=reason)
        metadata = tuple(trace_metadata().items())
        try:
            await self._stub.OnError(message, timeout=_ANSWER_SECONDS, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise ReportFailed(error.code().name) from error
