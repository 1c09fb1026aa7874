"""The whole service in this process, on the instant engine."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.servers.instant_engine import InstantEngine
from observability.interceptor import Guard
from observability.metrics import Metrics
from scripts.certificates import self_signed
from service.api.jobs_service import JobsService
from service.api.observer_service import ObserverService
from service.api.server import GrpcServer
from service.app import metric_labels
from service.app.wiring import Core
from service.console.app import Console, Links
from service.console.callers import Callers
from service.console.hosts import Hosts
from service.console.server import ConsoleServer
from service.jobs.catalog_file import load_catalog
from service.settings import Settings
from service.support.tls_files import Certificates, TlsFile, TlsFiles

CATALOG = load_catalog(Path(__file__).parents[1] / "catalog.toml")


class Service:
    """Serves on the loopback, with the wiring of `service.app.process`."""

    def __init__(self, port: int, certificates: Callable[[], Certificates] | None = None) -> None:
        self.engine = InstantEngine()
        self.metrics = new_metrics()
        self._settings = Settings.model_validate({"go_env": "production", **_history()})
        self.core = Core(self.engine, CATALOG, self.metrics, self._settings)
        self._jobs = JobsService(self.core.supervisor, self.core.readiness, self.metrics)
        self._observer = ObserverService(self.core.observer)
        self._servers: list[GrpcServer] = []
        self.open(port, certificates=certificates)

    def open(
        self,
        port: int,
        guard: Guard | None = None,
        certificates: Callable[[], Certificates] | None = None,
    ) -> None:
        """Serve gRPC at this port, too."""
        server = GrpcServer(
            "127.0.0.1",
            port,
            [self._jobs.as_service(), self._observer.as_service()],
            self.metrics,
            launches=self._settings.max_launches,
            guard=guard,
            certificates=certificates,
        )
        self.core.readiness.subscribe(server.health.set_ready)
        self._servers.append(server)

    def open_console(self, port: int) -> None:
        """Serve the console, too, which everybody may use."""
        console = Console(self._jobs, self._observer, Callers(None, secure=False), Links())
        ConsoleServer(console.app(Hosts()), "127.0.0.1", port, close=console.close).start()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve during the block. It is SERVING at its start."""
        for server in self._servers:
            await server.start()
        self.core.history.start()
        watching = asyncio.create_task(self.core.watcher.run())
        try:
            await self.core.readiness.wait_listed()
            yield
        finally:
            watching.cancel()
            for server in self._servers:
                await server.stop(0)


def _history() -> Mapping[str, str]:
    """The settings of the history, from the environment."""
    names = ("HISTORY_FILE", "HISTORY_MOST")
    return {name.lower(): os.environ[name] for name in names if name in os.environ}


def new_metrics() -> Metrics:
    """The metrics of the service."""
    return metric_labels.new_metrics(CATALOG, version="bench", engine="instant", mode="production")


def new_certificates() -> Certificates:
    """Certificates for the loopback."""
    with tempfile.TemporaryDirectory() as folder:
        chain, key = self_signed("127.0.0.1").write(Path(folder))
        return TlsFiles(TlsFile("chain", chain), TlsFile("key", key)).read()
