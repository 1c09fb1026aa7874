"""The ports of the process: gRPC, metrics, the console; and what the probes answer."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from observability.callers import certificate_names
from observability.http_endpoint import HttpEndpoint, all_interfaces
from observability.metrics import Metrics
from service.access.access import Access
from service.access.metrics_guard import metrics_guard
from service.api.access_guard import AccessGuard
from service.api.jobs_service import JobsService
from service.api.observer_service import ObserverService
from service.api.server import GrpcServer, binding
from service.app.tls_ports import TlsPorts
from service.app.wiring import Core
from service.diagnosis.live import PortCertificate
from service.settings import Settings
from service.state.cordon import Cordon
from service.state.readiness import Readiness
from service.support.file_watcher import FileWatcher

if TYPE_CHECKING:
    from service.console.server import ConsoleServer


class Ports:
    """The constructor binds all of them. Raises `StartError`.

    That comes before a container is touched: a second supervisor must not remove the containers of
    the first one.
    """

    def __init__(
        self,
        core: Core,
        metrics: Metrics,
        settings: Settings,
        access: Access | None,
        files: FileWatcher,
    ) -> None:
        self._settings, self._access = settings, access
        self._tls = TlsPorts(settings, metrics, files)
        self._jobs = JobsService(core.supervisor, core.readiness, metrics)
        self._observer = ObserverService(core.observer)
        self._grpc = self._bind_grpc(core.readiness, metrics)
        core.readiness.subscribe(metrics.ready.set)
        self._http = self._bind_http(_Probes(core.readiness, core.cordon), metrics)
        self._console = self._bind_console()

    @property
    def certificates(self) -> Callable[[], Sequence[PortCertificate]]:
        """Tells those in use, and what is wrong with their files."""
        return self._tls.certificates

    async def start(self) -> None:
        """Serve. From now on, calls wait and are not refused."""
        self._tls.start()
        await self._grpc.start()
        self._http.start()
        if self._console:
            self._console.start()

    async def run(self) -> None:
        """Run until stopped. Raises `RuntimeError` if the gRPC port is lost."""
        await self._grpc.run()

    async def stop(self, grace: float) -> None:
        """Accept no more calls, and wait for those under way (seconds)."""
        await self._grpc.stop(grace)
        if self._console:
            await self._console.stop()

    def close(self) -> None:
        """Answer no more probes."""
        self._http.close()
        self._tls.close()

    def _bind_grpc(self, readiness: Readiness, metrics: Metrics) -> GrpcServer:
        """The gRPC server, whose health follows readiness."""
        server = GrpcServer(
            self._address,
            self._settings.grpc_server_port,
            [self._jobs.as_service(), self._observer.as_service()],
            metrics,
            launches=self._settings.max_launches,
            certificates=self._tls.grpc,
            guard=self._guard(),
        )
        readiness.subscribe(server.health.set_ready)
        readiness.subscribe(lambda _: server.health.set_alive(alive=not readiness.needs_restart))
        return server

    def _guard(self) -> AccessGuard | None:
        if self._access is None:
            return None
        asked = self._settings.grpc_tls_client_ca_file is not None
        return AccessGuard(self._access, certificate_names if asked else lambda _: ())

    def _bind_http(self, probes: "_Probes", metrics: Metrics) -> HttpEndpoint:
        address, port = self._address, self._settings.metrics_port
        pages = {"/livez": probes.alive, "/readyz": probes.ready}
        required = self._settings.metrics_access == "required"
        guard = metrics_guard(self._access) if self._access and required else None
        with binding("METRICS_PORT", address, port):
            return HttpEndpoint(
                address, port, metrics.registry, pages, tls=self._tls.http, guard=guard
            )

    def _bind_console(self) -> "ConsoleServer | None":
        if self._settings.console_port is None:
            return None
        from service.app.console import (
            open_console,
        )  # Starlette and uvicorn take a tenth of a second

        return open_console(self._settings, self._jobs, self._observer, self._access, self._tls)

    @property
    def _address(self) -> str:
        return str(self._settings.bind_address or all_interfaces())


class _Probes:
    """What the probes of an orchestrator get. They run in the thread of the HTTP endpoint."""

    def __init__(self, readiness: Readiness, cordon: Cordon) -> None:
        self._readiness, self._cordon = readiness, cordon
        self._loop = asyncio.get_running_loop()

    async def alive(self) -> tuple[bool, str]:
        """Not if only a restart of the process would help, or if the service's loop hangs."""
        if self._readiness.needs_restart:
            return False, self._readiness.reason
        callback = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop)
        try:
            await asyncio.wait_for(asyncio.wrap_future(callback), timeout=2)
        except TimeoutError:
            return False, "the event loop does not answer"
        return True, "alive"

    async def ready(self) -> tuple[bool, str]:
        """Ready also while cordoned: kills, lists and dedups have to get through."""
        reasons = [self._readiness.reason, self._cordon.notice]
        return self._readiness.ready, "; ".join(filter(None, reasons))
