"""What processes and third parties do with containers, and what becomes of the Engine itself."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from signal import SIGKILL, SIGTERM

from service.engine.base import Status, WorkloadSpec
from service.engine.fake_host import Container
from service.errors import SupervisorError
from tests.simulation.engine import SimulatedEngine
from tests.simulation.facts import Fact, Facts
from tests.simulation.plan import STEADY
from tests.simulation.steps import Away, Hand, HandWork
from tests.simulation.virtual import VirtualLoop

_SIGNALLED = 128
_SHUTDOWN = 0.1


class Hands:
    """Everything here happens on the host, and the Engine tells of it if it is there."""

    def __init__(self, engine: SimulatedEngine, facts: Facts, loop: VirtualLoop) -> None:
        self._engine = engine
        self._host = engine.host
        self._facts = facts
        self._loop = loop

    def put(self, spec: WorkloadSpec) -> Container:
        """Run a container that is nobody's job. Raises `NameTaken`."""
        container = self._host.create(spec)
        self._host.start(container.id)
        return container

    def keep_alive(self, container: Container) -> None:
        """Start a neighbour again, as its restart policy says."""
        self._host.start(container.id)

    async def remove(self, container_id: str) -> None:
        """Remove a container by force, if it is there."""
        with suppress(SupervisorError):
            await self._host.remove(container_id, force=True)

    async def touch(self, act: Hand) -> None:
        """Do something with the container of ours that is chosen among those that are fit."""
        fit = _FIT.get(act.what, _runs)
        chosen = [c for c in self._host.containers if self._may_be_touched(c) and fit(c)]
        if not chosen:
            return
        container = chosen[int(act.choice * len(chosen))]
        with suppress(SupervisorError):
            await self._do(act, container.id)

    async def take_engine_away(self, act: Away) -> None:
        """Until it is back."""
        if act.what == "hang":
            self._engine.hang()
            await asyncio.sleep(act.seconds)
            self._engine.wake()
            return
        if act.what == "stop":
            await self._shut_down()
        self._engine.go_away()
        await asyncio.sleep(act.seconds)
        if act.what in ("crash", "wipe"):
            self._end_all(_SIGNALLED + SIGKILL)
        if act.what == "wipe":
            for container in [c for c in self._host.containers if self._is_ours(c)]:
                await self.remove(container.id)
        self._engine.come_back()

    async def _shut_down(self) -> None:
        """It tells what it ends, and takes no new connection meanwhile."""
        self._engine.departing = True
        self._end_all(_SIGNALLED + SIGTERM, signal=SIGTERM)
        await asyncio.sleep(_SHUTDOWN)
        self._engine.departing = False

    def _end_all(self, code: int, signal: int | None = None) -> None:
        for container in self._host.live:
            if signal is not None:
                self._host.signal(container.id, signal)
            self._host.exit(container.id, code)

    async def _do(self, act: Hand, container_id: str) -> None:
        host = self._host
        match act.what:
            case "exit":
                host.exit(container_id, act.code)
            case "kill":
                host.kill(container_id)
            case "oom":
                host.exit(container_id, _SIGNALLED + SIGKILL, oom_killed=True)
            case "late oom":
                await self._run_out_of_memory(container_id)
            case "remove":
                await host.remove(container_id, force=True)
            case "pause" | "unpause":
                host.pause(container_id, paused=act.what == "pause")
            case "start":
                self._start(container_id)
            case "restart":
                host.kill(container_id, SIGTERM)
                await asyncio.sleep(act.choice / 20)
                self._start(container_id)

    def _start(self, container_id: str) -> None:
        fact = self._facts.get(container_id)
        assert isinstance(fact, Fact)
        fact.touched_at = self._loop.time()
        self._host.start(container_id)

    async def _run_out_of_memory(self, container_id: str) -> None:
        """The exit is told first, as containerd may do it, and an inspect does not know why."""
        self._host.exit(container_id, _SIGNALLED + SIGKILL)
        await asyncio.sleep(0.05)
        if _has_exited(self._host.get(container_id)):
            self._host.tell_out_of_memory(container_id)

    def _may_be_touched(self, container: Container) -> bool:
        fact = self._facts.get(container.id)
        return fact is not None and fact.identifier not in STEADY

    def _is_ours(self, container: Container) -> bool:
        return self._facts.get(container.id) is not None


def _runs(container: Container) -> bool:
    return container.status is Status.LIVE and not container.paused


def _is_live(container: Container) -> bool:
    return container.status is Status.LIVE


def _is_paused(container: Container) -> bool:
    return container.status is Status.LIVE and container.paused


def _has_exited(container: Container) -> bool:
    return container.status is Status.EXITED


_FIT: Mapping[HandWork, Callable[[Container], bool]] = {
    "kill": _is_live,
    "remove": _is_live,
    "restart": _is_live,
    "unpause": _is_paused,
    "start": _has_exited,
}
