"""The whole service in this process, on an engine that does everything at once."""

import asyncio
from pathlib import Path

from benchmarks.servers.instant_engine import InstantEngine
from observability.metrics import Metrics
from service.catalog import load_catalog
from service.core import Core, Options
from service.server import GrpcServer
from service.servicer import Servicer
from service.workload import Policy

_CATALOG = load_catalog(Path(__file__).parents[1] / "catalog.toml")


class Service:
    """Serves on the loopback. Wired as `service.serve` wires it."""

    def __init__(self, port: int) -> None:
        self.engine = InstantEngine()
        self.metrics = new_metrics()
        policy = Policy("localhost:50050")
        self.core = Core(self.engine, _CATALOG, self.metrics, Options(policy=policy))
        servicer = Servicer(self.core.supervisor, self.core.readiness, self.metrics)
        self._server = GrpcServer("127.0.0.1", port, servicer, self.metrics)
        self.core.readiness.subscribe(self._server.health.set_ready)

    async def start(self) -> None:
        """Answer, and follow the engine; return when it is SERVING."""
        await self._server.start()
        self._watching = asyncio.create_task(self.core.watcher.run())
        await self.core.readiness.wait_listed()


def new_metrics() -> Metrics:
    """Metrics as the service has them."""
    return Metrics(_CATALOG, version="bench", engine="instant", mode="production")
