"""A supervisor on the engine in memory, behind real ports and an access file."""

import asyncio
import http.client
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpc import aio

from observability.callers import certificate_names
from observability.http_endpoint import HttpEndpoint
from service._generated.area_supervisor_pb2 import JobId
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.area_types_pb2 import AuthenticatedJobData, Response
from service.access.access import Access, ByCertificate
from service.access.access_file import clients_in
from service.access.metrics_guard import metrics_guard
from service.access.tokens import hash_line
from service.api.access_guard import AccessGuard
from service.api.jobs_service import JobsService
from service.api.observer_service import ObserverService
from service.api.server import GrpcServer
from service.console.app import Console, Links
from service.console.callers import Callers
from service.console.hosts import Hosts
from service.console.server import ConsoleServer
from service.support.tls_files import Certificates
from tests.supervisor.world import World, a_world
from tests.support.supervised import free_port

FILE = f"""
[clients.backend]
tokens = ["{hash_line("of-backend")}"]
role = "backend"

[clients.timers]
tokens = ["{hash_line("of-timers")}"]
role = "backend"
jobs = ["timer*", "nothing-*"]

[clients.night-shift]
tokens = ["{hash_line("of-night-shift")}"]
role = "operator"

[clients.prometheus]
tokens = ["{hash_line("of-prometheus")}"]
role = "observer"
"""
ANONYMOUS = '\n[anonymous]\nrole = "observer"\n'

Metadata = tuple[tuple[str, str], ...]


def bearer(client: str) -> Metadata:
    """The token of a client of the file; nothing for ""."""
    return (("authorization", f"Bearer of-{client}"),) if client else ()


@dataclass
class Served:
    """The ports, and a channel to the first."""

    world: World
    access: Access
    port: int
    http_port: int
    channel: aio.Channel

    @property
    def stub(self) -> Any:
        return AreaSupervisorServiceStub(self.channel)

    async def launch(self, name: str, identifier: str, who: str = "backend") -> Response:
        request = AuthenticatedJobData(name=name, identifier=identifier)
        answer: Response = await self.stub.LaunchJob(request, metadata=bearer(who), timeout=30)
        return answer

    async def kill(self, identifier: str, who: str) -> Response:
        request = JobId(identifier=identifier)
        answer: Response = await self.stub.KillJob(request, metadata=bearer(who), timeout=30)
        return answer

    async def kill_all(self, who: str) -> Response:
        answer: Response = await self.stub.KillAllJobs(Empty(), metadata=bearer(who), timeout=30)
        return answer

    async def listed(self, who: str) -> list[str]:
        answer = await self.stub.ListJobs(Empty(), metadata=bearer(who), timeout=30)
        return sorted(job.identifier for job in answer.jobs)

    def events(self, name: str) -> list[MutableMapping[str, Any]]:
        return self.world.logged(name)

    def failures(self) -> dict[str, float]:
        """`supervisor_auth_failures_total` by reason, without zeros."""
        reasons = ("missing", "unknown", "denied")
        name = "supervisor_auth_failures_total"
        counted = {reason: self.world.metric(name, reason=reason) for reason in reasons}
        return {reason: count for reason, count in counted.items() if count}


async def refusal(call: Any) -> tuple[str, str]:
    """Status and text of a call that is refused."""
    try:
        answer = await call
    except aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    raise AssertionError(f"it was let in: {answer}")


@asynccontextmanager
async def served(
    text: str | None = FILE, certificates: Callable[[], Certificates] | None = None
) -> AsyncIterator[Served]:
    """Serve during the block, with certificates over TLS; without a text, by them alone."""
    async with a_world(real_time=True) as world:
        metrics = world.metrics
        access = Access(clients_in(text), metrics) if text else ByCertificate(metrics)
        jobs = JobsService(world.supervisor, world.readiness, world.metrics)
        observer = ObserverService(world.observer)
        port, http_port = free_port(), free_port()
        server = GrpcServer(
            "127.0.0.1",
            port,
            [jobs.as_service(), observer.as_service()],
            world.metrics,
            launches=50,
            guard=AccessGuard(access, certificate_names),
            certificates=certificates,
        )
        server.health.set_ready(True)

        async def alive() -> tuple[bool, str]:
            return True, "alive"

        http = HttpEndpoint(
            "127.0.0.1",
            http_port,
            world.metrics.registry,
            {"/livez": alive, "/readyz": alive},
            guard=metrics_guard(access),
        )
        await server.start()
        http.start()
        try:
            async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Served(world, access, port, http_port, channel)
        finally:
            await server.stop(0)
            http.close()


@asynccontextmanager
async def console_of(door: Served) -> AsyncIterator[int]:
    """The port of a console, during the block."""
    world, port = door.world, free_port()
    jobs = JobsService(world.supervisor, world.readiness, world.metrics)
    callers = Callers(door.access, secure=False)
    console = Console(jobs, ObserverService(world.observer), callers, Links())
    server = ConsoleServer(console.app(Hosts()), "127.0.0.1", port, close=console.close)
    server.start()
    try:
        yield port
    finally:
        await server.stop()


def page_of(port: int, page: str, *authorizations: str) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of a page, for values of `authorization`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest("GET", page)
        for value in authorizations:
            connection.putheader("Authorization", value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


async def get(door: Served, page: str, who: str) -> tuple[int, str, dict[str, str]]:
    """A page, with the token of a client, or with none."""
    shown = [f"Bearer of-{who}"] if who else []
    return await asyncio.to_thread(page_of, door.http_port, page, *shown)
