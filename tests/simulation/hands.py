"""Acts of processes and third parties on containers, and of the machine on the Engine."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from signal import SIGCONT, SIGHUP, SIGKILL, SIGTERM, SIGWINCH

from service.engine.docker.names import DOCKER_NAMES, is_aside
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Health, Status
from service.errors import SupervisorError
from service.jobs.workload_names import base_name
from tests.fake_engine.host import Container
from tests.simulation.engine import INSTANCE, OTHERS_IMAGE, OTHERS_NETWORK, SimulatedEngine
from tests.simulation.facts import Fact, Facts
from tests.simulation.plan import ACTIONS, STEADY
from tests.simulation.steps import Away, Hand, HandWork
from tests.simulation.virtual import VirtualLoop

_SIGNALLED = 128
_SHUTDOWN = 0.1
# Signals that end no worker: two that no program ends by, and one that it may.
_BORNE = (SIGWINCH, SIGCONT, SIGHUP)


class Hands:
    """Acts on the host; the Engine reports that if it is there."""

    def __init__(self, engine: SimulatedEngine, facts: Facts, loop: VirtualLoop) -> None:
        self._engine = engine
        self._host = engine.host
        self._facts = facts
        self._loop = loop

    def put(self, name: str, labels: Mapping[str, str]) -> Container:
        """Run a container that is nobody's job. Raises `NameTaken`."""
        spec = WorkloadSpec(
            name=name, image=OTHERS_IMAGE, arguments=(), labels=labels, network=OTHERS_NETWORK
        )
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
        """Do something with one of our containers."""
        if fact := self.choose(act.choice, _FIT.get(act.what, _runs)):
            fact.hand_at = self._loop.time()
            with suppress(SupervisorError):
                await self._do(act, fact)

    def choose(self, choice: float, fit: Callable[[Container], bool]) -> Fact | None:
        """One of the containers of ours that may be touched and are fit."""
        facts = [fact for c in self._host.containers if fit(c) and (fact := self._touchable(c))]
        return facts[int(choice * len(facts))] if facts else None

    async def get_stuck(self, container_id: str, seconds: float) -> None:
        """Let the Engine give no answer about a container, for so many seconds."""
        self._engine.stuck.add(container_id)
        await asyncio.sleep(seconds)
        self._engine.stuck.discard(container_id)

    async def take_engine_away(self, act: Away) -> None:
        """Take the Engine away, and bring it back."""
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
            for container in self._host.containers:
                if fact := self._facts.get(container.id):
                    fact.removed_by_hand = True
                    await self.remove(container.id)
        self._engine.come_back()

    async def _shut_down(self) -> None:
        """Stop the Engine: it reports the exits, and takes no new connection meanwhile."""
        self._engine.departing = True
        self._end_all(_SIGNALLED + SIGTERM, signal=SIGTERM)
        await asyncio.sleep(_SHUTDOWN)
        self._engine.departing = False

    def _end_all(self, code: int, signal: int | None = None) -> None:
        for container in self._host.live:
            if fact := self._facts.get(container.id):
                fact.hand_at = self._loop.time()
            if signal is not None:
                self._host.signal(container.id, signal)
            self._host.exit(container.id, code)

    async def _do(self, act: Hand, fact: Fact) -> None:  # noqa: C901 - a case for each work
        host, container_id = self._host, fact.id
        match act.what:
            case "exit":
                host.exit(container_id, act.code)
            case "kill" | "signal":
                self._signal(act, container_id)
            case "oom":
                host.exit(container_id, _SIGNALLED + SIGKILL, oom_killed=True)
            case "late oom":
                await self._run_out_of_memory(container_id)
            case "heal" | "sicken":
                host.probe(container_id, int(act.what == "sicken"))
            case "remove" | "rm":
                fact.removed_by_hand = True
                await host.remove(container_id, force=act.what == "remove")
            case "pause" | "unpause":
                host.pause(container_id, paused=act.what == "pause")
            case "start":
                self._start(fact)
            case "rename":
                self._rename(fact, act.code)
            case "restart":
                host.kill(container_id, SIGTERM)
                await asyncio.sleep(act.choice / 20)
                self._start(fact)

    def _signal(self, act: Hand, container_id: str) -> None:
        if act.what == "kill":
            self._host.kill(container_id)
        else:
            self._host.signal(container_id, _BORNE[act.code % len(_BORNE)])

    def _start(self, fact: Fact) -> None:
        if not _runs_not(self._host.get(fact.id)):
            return
        fact.touched_at = self._loop.time()
        self._host.start(fact.id)

    def _rename(self, fact: Fact, code: int) -> None:
        """Give it a name of its own, or, with some codes, that of another identifier."""
        other = ACTIONS[code % len(ACTIONS)] if code else None
        name = base_name(other, INSTANCE, DOCKER_NAMES) if other else f"renamed-{fact.id[:6]}"
        self._host.rename(fact.id, name)
        fact.misnamed, fact.named_as = True, other

    async def _run_out_of_memory(self, container_id: str) -> None:
        """The event of the exit comes first, as with containerd; an inspect tells no cause yet."""
        self._host.exit(container_id, _SIGNALLED + SIGKILL)
        await asyncio.sleep(0.05)
        if _has_exited(self._host.get(container_id)):
            self._host.tell_out_of_memory(container_id)

    def _touchable(self, container: Container) -> Fact | None:
        fact = self._facts.get(container.id)
        return fact if fact and fact.identifier not in STEADY else None


def _runs(container: Container) -> bool:
    return container.status is Status.LIVE and not container.paused


def _is_live(container: Container) -> bool:
    return container.status is Status.LIVE


def _is_paused(container: Container) -> bool:
    return container.status is Status.LIVE and container.paused


def _is_checked(container: Container) -> bool:
    return _runs(container) and container.health is not Health.UNKNOWN


def _runs_not(container: Container) -> bool:
    return container.status in (Status.CREATED, Status.EXITED)


def _may_be_renamed(container: Container) -> bool:
    """Not what was set aside: its name says so."""
    going = container.status is Status.REMOVING
    return not going and not is_aside(container.spec.name, container.id)


def is_there(container: Container) -> bool:
    """Whether it is not about to be gone."""
    return container.status is not Status.REMOVING


def _has_exited(container: Container) -> bool:
    return container.status is Status.EXITED


_FIT: Mapping[HandWork, Callable[[Container], bool]] = {
    "kill": _is_live,
    "remove": _is_live,
    "restart": _is_live,
    "unpause": _is_paused,
    "start": _runs_not,
    "rm": _runs_not,
    "rename": _may_be_renamed,
    "heal": _is_checked,
    "sicken": _is_checked,
}
