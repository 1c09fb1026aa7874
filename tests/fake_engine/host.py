"""The machine behind the fake Engine: its containers, and what third parties do to them.

It is apart from the Engine because containers live on, exit and vanish while the Engine, or the
way to it, is gone. The orders of events and the answers are those that were measured on Docker.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from signal import SIGKILL, Signals

from service.engine.docker.names import name_aside, name_before, name_ended
from service.engine.events import Change, Event
from service.engine.output import Printed
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Exit, Health, Probe, Status
from service.errors import EngineRefused, ImageMissing, NameTaken, NoSuchWorkload

_SIGNALLED = 128  # and the signal's number: what a process exits with that it has ended
_SIGKILLED = _SIGNALLED + SIGKILL
_NOT_RUN = 127


@dataclass(slots=True, eq=False)
class Container:
    """One container. Its process does what its arguments say.

    It prints each of them; `--say TEXT` prints once more, and `--complain TEXT` to its standard
    error; `--exit CODE` ends it at once,
    `--eat` takes all the memory that there is, and `--stubborn` makes it ignore SIGTERM. Otherwise
    it runs until it is told to end.
    """

    spec: WorkloadSpec
    id: str = field(default_factory=lambda: secrets.token_hex(32))
    created_at: float = field(default_factory=lambda: time.time())  # noqa: PLW0108 - tests replace it
    status: Status = Status.CREATED
    exit_code: int = 0
    oom_killed: bool = False
    paused: bool = False
    started_at: float = 0.0
    ended_at: float | None = None
    node: str = ""
    printed: list[Printed] = field(default_factory=list)
    health: Health = Health.UNKNOWN
    probe: Probe | None = None
    unsettled: bool = False  # exited, and not so in the listings yet, as Docker has it for a moment
    exited: asyncio.Event = field(default_factory=asyncio.Event)
    removed: asyncio.Event = field(default_factory=asyncio.Event)

    def option(self, name: str) -> str | None:
        """What follows an argument."""
        arguments = list(self.spec.arguments)
        return arguments[arguments.index(name) + 1] if name in arguments else None

    def say(self, line: str, *, stream: str = "stdout") -> None:
        """Print a line, at a time of its own."""
        before = self.printed[-1].at if self.printed else 0
        at = max(before + 1, int(time.time() * 1e9))
        self.printed.append(Printed(stream, line, at))


class FakeHost:
    """Containers, with the rules that Docker has for them."""

    def __init__(self, images: Collection[str], networks: Collection[str]) -> None:
        self.images = set(images)
        self.networks = set(networks)
        self.registry: set[str] = set()  # images that can be pulled
        self.broken: dict[str, str] = {}  # images, with why their program cannot be run
        self.checked: set[str] = set()  # images with a health check
        self.node = ""  # what the engine calls the machine
        self.removal_seconds = 0.01  # while the name is still taken
        self.stopped: set[str] = set()  # what supervisors have stopped, for engines that tell it
        self.torn: set[str] = set()  # what somebody has removed while it ran, likewise
        self.listeners: list[Callable[[Event], None]] = []
        self._containers: dict[str, Container] = {}

    @property
    def containers(self) -> Sequence[Container]:
        """All there are, oldest first."""
        return list(self._containers.values())

    @property
    def live(self) -> Sequence[Container]:
        """Those that run."""
        return [c for c in self.containers if c.status is Status.LIVE]

    def get(self, container_id: str) -> Container:
        """One container. Raises NoSuchWorkload."""
        try:
            return self._containers[container_id]
        except KeyError:
            raise NoSuchWorkload(f"container {container_id}: does not exist") from None

    def named(self, name: str) -> Container:
        """The container that holds a name. Raises NoSuchWorkload."""
        for container in self.containers:
            if container.spec.name == name:
                return container
        raise NoSuchWorkload(f"container {name}: does not exist")

    def create(self, spec: WorkloadSpec) -> Container:
        """Make a container, which takes its name. Raises ImageMissing, NameTaken."""
        if spec.image not in self.images:
            raise ImageMissing(f"image {spec.image}: is not on the fake Engine")
        for holder in self.containers:
            if holder.spec.name == spec.name:
                raise NameTaken(f"the container's name is taken: {spec.name}", holder.id)
        container = Container(spec, node=self.node)
        self._containers[container.id] = container
        self._tell(container, Change.CREATED)
        return container

    def pull(self, image: str) -> None:
        """Fetch an image from the registry. Raises ImageMissing."""
        if image not in self.registry:
            raise ImageMissing(f"image {image}: is not in the fake registry")
        self.images.add(image)

    def start(self, container_id: str) -> None:
        """Start what does not run, for the first time or again. Raises EngineRefused."""
        container = self.get(container_id)
        if container.status is Status.LIVE:
            return
        spec = container.spec
        if container.status is Status.REMOVING:
            raise EngineRefused(f"container {spec.name}: is being removed")
        checked = bool(spec.healthcheck.command) or spec.image in self.checked
        if spec.healthcheck.required and not checked:
            raise EngineRefused(f"the image {spec.image} has no health check")
        if spec.network not in self.networks:
            raise EngineRefused(spec.redact(f"network {spec.network} not found"))
        container.status, container.exit_code = Status.LIVE, 0
        container.started_at = time.time()
        container.health = Health.STARTING if checked else Health.UNKNOWN
        container.exited.clear()
        _speak(container)
        self._tell(container, Change.STARTED)
        if spec.image in self.broken:
            self.exit(container_id, _NOT_RUN)
        elif (code := container.option("--exit")) is not None:
            self.exit(container_id, int(code))
        elif container.option("--eat") is not None:
            self.exit(container_id, _SIGKILLED, oom_killed=True)

    def check_begun(self, spec: WorkloadSpec) -> None:
        """Raise EngineRefused where the init could not run the program."""
        if obstacle := self.broken.get(spec.image):
            raise EngineRefused(f"the program of {spec.name} cannot be run: {obstacle}")

    def pause(self, container_id: str, *, paused: bool = True) -> None:
        """The process of a live container is held, or let go on."""
        container = self.get(container_id)
        container.paused = paused
        self._tell(container, Change.PAUSED if paused else Change.UNPAUSED)

    def probe(self, container_id: str, code: int, output: str = "") -> None:
        """A probe of a live container's health check ends, and decides its health."""
        container = self.get(container_id)
        before, container.probe = container.health, Probe(code, output)
        container.health = Health.UNHEALTHY if code else Health.HEALTHY
        if container.health is not before:
            self._tell(container, Change.UNHEALTHY if code else Change.HEALTHY)

    def signal(self, container_id: str, number: int) -> None:
        """Send a signal through the Engine. What the process makes of it is for the caller."""
        self._tell(self.get(container_id), Change.SIGNALLED, signal=number)

    def kill(self, container_id: str, number: int = SIGKILL) -> None:
        """A signal ends a live container, as `docker kill` has it."""
        self.signal(container_id, number)
        self.exit(container_id, _SIGNALLED + number)

    def exit(self, container_id: str, code: int, *, oom_killed: bool = False) -> None:
        """The process of a live container ends; for want of memory, if so said."""
        container = self.get(container_id)
        if container.status is not Status.LIVE:
            raise EngineRefused(f"container {container.spec.name}: does not run")
        container.status, container.exit_code, container.paused = Status.EXITED, code, False
        container.oom_killed, container.ended_at = oom_killed, time.time()
        container.exited.set()
        if oom_killed:
            self._tell(container, Change.OUT_OF_MEMORY)
        self._tell(container, Change.EXITED, code)

    def tell_out_of_memory(self, container_id: str) -> None:
        """Say so late: only an event, as Docker 20.10 does."""
        self._tell(self.get(container_id), Change.OUT_OF_MEMORY)

    async def stop(self, container_id: str, grace: float) -> Exit | None:
        """Its stop signal, and SIGKILL for what has not exited after the grace. How, if it ran.

        Without an init it is deaf, as the first process of a container is without a handler.
        """
        container = self.get(container_id)
        if container.status is not Status.LIVE:
            return None
        number = Signals[container.spec.stop_signal]
        deaf = container.option("--stubborn") is not None or not container.spec.init
        if not deaf:
            self.kill(container_id, number)
            return Exit(_SIGNALLED + number, time.time())
        self.signal(container_id, number)
        try:
            async with asyncio.timeout(grace):
                await container.exited.wait()
        except TimeoutError:
            if container.status is Status.LIVE:
                self.kill(container_id)
        return Exit(container.exit_code, time.time())

    async def remove(self, container_id: str, *, force: bool = False) -> bool:
        """Remove a container, which takes a moment; a removal under way is waited for.

        False if it was under way. Raises EngineRefused for a live one without `force`.
        """
        container = self.get(container_id)
        if container.status is Status.REMOVING:
            await container.removed.wait()
            return False
        if container.status is Status.LIVE:
            if not force:
                raise EngineRefused(f"container {container.spec.name}: runs; stop it first")
            self.kill(container_id)
        container.status = Status.REMOVING
        try:
            await asyncio.sleep(self.removal_seconds)
        except asyncio.CancelledError:
            container.status = Status.EXITED  # `dead`: its name is held, a second try works
            raise
        del self._containers[container_id]
        container.removed.set()
        self._tell(container, Change.REMOVED)
        return True

    def free_name_of(self, container_id: str) -> WorkloadSpec:
        """Rename what has exited and is to be started again; its spec, with its old name."""
        container = self.get(container_id)
        if container.status is not Status.EXITED:
            raise EngineRefused(f"container {container.spec.name}: has not exited")
        spec = replace(container.spec, name=name_before(container.spec.name, container_id))
        container.spec = replace(spec, name=name_ended(spec.name, container_id))
        return spec

    def start_again(self, container_id: str, labels: Mapping[str, str]) -> None:
        """Start what has exited as a new task of its service. Raises EngineRefused."""
        container = self.get(container_id)
        if container.status is not Status.EXITED:
            raise EngineRefused(f"service {container.spec.name}: has not ended")
        container.spec = replace(container.spec, labels={**container.spec.labels, **labels})
        container.created_at = time.time()
        self.start(container_id)

    def rename(self, container_id: str, name: str) -> None:
        """Give a container another name. Raises NameTaken."""
        for holder in self.containers:
            if holder.spec.name == name:
                raise NameTaken(f"the container's name is taken: {name}", holder.id)
        container = self.get(container_id)
        container.spec = replace(container.spec, name=name)

    def set_aside(self, container_id: str) -> str:
        """Rename a container, as one that cannot be removed; its new name."""
        container = self.get(container_id)
        name = name_aside(container.spec.name, container_id)
        container.spec = replace(container.spec, name=name)
        return name

    def _tell(
        self,
        container: Container,
        change: Change,
        code: int | None = None,
        signal: int | None = None,
    ) -> None:
        event = Event(
            id=container.id,
            change=change,
            labels=dict(container.spec.labels),
            exit_code=code,
            signal=signal,
        )
        for listener in self.listeners:
            listener(event)


def _speak(container: Container) -> None:
    lines = [f"argument: {argument}" for argument in container.spec.arguments]
    lines.append(f"traceparent: {container.spec.environment.get('TRACEPARENT', '')}")
    for line in lines:
        container.say(line)
    if said := container.option("--say"):
        container.say(said)
    if complaint := container.option("--complain"):
        container.say(complaint, stream="stderr")
