"""The simulated manager for the contract suite."""

import asyncio
import secrets
from pathlib import Path

from service.app.metric_labels import new_metrics
from service.engine.base import Engine
from service.engine.docker.connection import Connection
from service.engine.swarm.engine import SwarmEngine
from tests.engine.rigs import OURS, until
from tests.simulated_manager.server import SimulatedManager
from tests.simulated_manager.swarm import SimulatedSwarm
from tests.support import worker

_BROKEN = {worker.BROKEN: "/nope failed: No such file or directory"}


class SimulatedRig:
    """Swarm's adapter on a simulated manager. See `tests.engine.rigs.Rig`."""

    def __init__(self, folder: Path) -> None:
        self.selector = {OURS: secrets.token_hex(4)}
        self.swarm = SimulatedSwarm([worker.IMAGE], _BROKEN)
        self.manager = SimulatedManager(folder / "docker.sock", self.swarm)
        self.manager.start()
        metrics = new_metrics([], version="test", engine="swarm", mode="test")
        self.engine: Engine = SwarmEngine(Connection(self.manager.host), self.selector, metrics)

    async def stranger(self, name: str, labels: dict[str, str] | None = None) -> str:
        container = {"Image": worker.IMAGE, "Labels": labels or {}, "Init": True}
        service_id = self.swarm.create(
            {"Name": name, "Labels": labels or {}, "TaskTemplate": {"ContainerSpec": container}}
        )
        await until(lambda: b'"State": "running"' in self.swarm.tasks(services=[service_id])[0])
        return service_id

    async def kill_by_hand(self, service_id: str, signal: int) -> None:
        self.swarm.end(service_id, 128 + signal)

    async def start_by_hand(self, service_id: str) -> None:
        raise NotImplementedError("Swarm does not heed it")

    async def pause_by_hand(self, service_id: str, *, paused: bool) -> None:
        raise NotImplementedError("Swarm does not tell of it")

    async def go_away(self) -> None:
        await asyncio.to_thread(self.manager.stop)

    async def come_back(self) -> None:
        self.manager.start()

    async def hang(self) -> None:
        self.manager.answers.clear()

    async def wake(self) -> None:
        self.manager.answers.set()

    async def clean(self) -> None:
        self.manager.answers.set()
        self.manager.lists_nodes.set()
        await self.engine.close()
        await asyncio.to_thread(self.manager.stop)
