"""An Engine in memory, for the stages of failure that a real one does not show on demand.

    engine.faults.fail("create", EngineTimeout("…"), after=True)   done, but the answer is lost
    hold = engine.faults.hold("start")                             hangs until hold.release()
    engine.hang(); engine.wake()                                   accepts calls, answers none
    engine.go_away(); engine.come_back()                           refuses connections
    engine.disconnect()                                            only the event streams end
    engine.host.exit(id, 1); engine.host.start(id)                 what processes and others do

The same contract suite runs against this and against Docker.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from hashlib import sha256
from typing import Any, TypeVar

from observability.redaction.redactor import Redactor
from service.engine.capabilities import Capabilities, PullProgress
from service.engine.configuration import Offers, Trait
from service.engine.docker.names import DOCKER_NAMES, has_ended, is_aside
from service.engine.events import Event, Listing
from service.engine.output import UNREADABLE_LOG, Printed, Usage
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Begun, Exit, Health, Inspection, Status, Whereabouts, Workload
from service.errors import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    NoSuchWorkload,
)
from tests.fake_engine.faults import Faults, Operation
from tests.fake_engine.host import Container, FakeHost

T = TypeVar("T")

# As patient as the Docker adapter (seconds).
_SHORT = 10.0
_PING = 2.0
_DEEP_PING = 2.5
_LACK_OF_MEMORY = 0.25
_LOG_POLL = 0.01
_PULL = 86_400.0


class Stuck:
    """The containers that the Engine lists, and can do nothing about."""

    def __init__(self) -> None:
        self._free: dict[str, asyncio.Event] = {}  # of those that are stuck

    def __len__(self) -> int:
        return len(self._free)

    def add(self, container_id: str) -> None:
        """Let calls about a container hang from now on."""
        self._free.setdefault(container_id, asyncio.Event())

    def discard(self, container_id: str) -> None:
        """Let them go on."""
        if free := self._free.pop(container_id, None):
            free.set()

    def clear(self) -> None:
        """Let all calls go on."""
        for container_id in list(self._free):
            self.discard(container_id)

    async def wait_for(self, container_id: str) -> None:
        """Wait until a container is not stuck."""
        while free := self._free.get(container_id):
            await free.wait()


class FakeEngine:
    """Runs workloads in memory; ours are those that carry the labels of `selector`.

    `capabilities` are those of Docker; a test may replace them.
    """

    title = "fake Engine"
    name_grammar = DOCKER_NAMES

    def __init__(
        self,
        selector: Mapping[str, str],
        *,
        images: Collection[str],
        networks: Collection[str] = ("host",),
        host: FakeHost | None = None,
    ) -> None:
        """`host` is one that others use, too."""
        self.host = host or FakeHost(images, networks)
        self.faults = Faults()
        self.calls: Counter[Operation] = Counter()
        self.latency: Callable[[], float] = lambda: 0.0  # seconds, there and back each
        self.has_traits: frozenset[Trait] = frozenset()
        self.has_offers = Offers()
        self.capabilities = Capabilities(
            pull=self.pull,
            set_aside=self.set_aside,
            read_file=self.read_file,
            reports_lack_of_memory_within=_LACK_OF_MEMORY,
            streams_events=True,
        )
        self.pulled: list[tuple[str, str]] = []  # images, with their platforms
        self.stuck = Stuck()
        self.own_id = ""  # of the container that this process runs in
        self.unclear = False  # whether this process runs in a container of any id
        self._selector = dict(selector)
        self.departing = False  # it still answers, but nobody who comes anew
        self._here = True
        self._awake = asyncio.Event()
        self._awake.set()
        # Tables and not sets, whose order differs from run to run.
        self._under_way: dict[asyncio.Task[Any], None] = {}
        self._streams: dict[asyncio.Queue[Event | None], None] = {}
        self._context = copy_context()  # its work is its own, and not of the task that asked
        self.host.listeners.append(self._publish)

    def hang(self) -> None:
        """Answer nothing from now on, without refusing anything."""
        self._awake.clear()

    def wake(self) -> None:
        """Carry out what has piled up, also what nobody waits for any more."""
        self._awake.set()

    def go_away(self) -> None:
        """Refuse connections; calls under way break off where they are."""
        self._here = False
        for task in list(self._under_way):
            task.cancel()
        self.disconnect()

    def come_back(self) -> None:
        """Answer again, with the containers as they are by now."""
        self._here = True
        self._awake.set()

    def disconnect(self) -> None:
        """End the event streams, and nothing else."""
        for stream in self._streams:
            stream.put_nowait(None)

    def whereabouts(self, workloads: Sequence[Workload]) -> Whereabouts:
        """See `Engine.whereabouts`."""
        own = next((each for each in workloads if each.id == self.own_id), None)
        return Whereabouts(own, unclear=own is None and self.unclear)

    async def ping(self, *, deep: bool = False) -> None:
        """See `Engine.ping`."""
        if deep:
            await self._call("deep ping", at_once(lambda: None), _DEEP_PING)
        else:
            self._connect()
            await self._call("ping", at_once(lambda: None), _PING)

    async def leaving(self) -> bool:
        """See `Engine.leaving`."""
        await asyncio.sleep(self.latency())
        return self.departing or not self._here

    async def start(self, spec: WorkloadSpec, *, timeout: float) -> Begun:
        """See `Engine.start`. Two calls, so that each can fail by itself."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        container = await self._call("create", at_once(lambda: self.host.create(spec)), timeout)
        try:
            work = at_once(lambda: self._start_made(container.id))
            await self._call("start", work, deadline - clock())
            self.host.check_begun(spec)
        except EngineFailed:
            raise  # it may have started all the same
        except EngineRefused:
            with suppress(EngineError):
                await self.remove(container.id, force=True)
            raise
        return Begun(container.id, container.node)

    async def start_successor(
        self,
        workload_id: str,
        labels: Mapping[str, str],
        *,
        redact: Callable[[Inspection], Redactor],
        timeout: float,
    ) -> Begun:
        """See `Engine.start_successor`. Four calls, so that each can fail by itself."""
        seen = await self.inspect(workload_id)
        renamed = at_once(lambda: self.host.free_name_of(workload_id))
        spec = await self._call("rename", self._once_free(workload_id, renamed), _SHORT)
        spec = replace(spec, labels={**spec.labels, **labels}, redact=redact(seen))
        return await self.start(spec, timeout=timeout)

    async def stop(self, workload_id: str, *, grace: float) -> Exit | None:
        """See `Engine.stop`."""
        work = self._once_free(workload_id, lambda: self.host.stop(workload_id, grace))
        return await self._call("stop", work, _SHORT + grace)

    async def remove(self, workload_id: str, *, force: bool = False) -> bool:
        """See `Engine.remove`."""
        work = self._once_free(workload_id, lambda: self.host.remove(workload_id, force=force))
        try:
            return await self._call("remove", work, _SHORT)
        except NoSuchWorkload:
            return False

    async def set_aside(self, workload_id: str) -> str:
        """See `SetAside`."""
        work = at_once(lambda: self.host.set_aside(workload_id))
        return await self._call("set aside", self._once_free(workload_id, work), _SHORT)

    async def pull(self, image: str, platform: str, note: Callable[[PullProgress], None]) -> None:
        """See `Pull`. From the registry of the host."""
        self.pulled.append((image, platform))
        note(PullProgress(2, 1, 2048, 1024))
        await self._call("pull", at_once(lambda: self.host.pull(image)), _PULL)

    async def inspect(self, workload_id: str, *, timeout: float = _SHORT) -> Inspection:
        """See `Engine.inspect`."""
        work = at_once(lambda: _inspection(self.host.get(workload_id)))
        return await self._call("inspect", self._once_free(workload_id, work), timeout)

    async def read_file(self, workload_id: str) -> str | None:
        """See `ReadFile`."""
        work = at_once(lambda: self.host.get(workload_id).spec.secret)
        secret = await self._call("download", work, _SHORT)
        return secret.content if secret else None

    async def tail(self, workload_id: str, *, lines: int, edit: Callable[[str], str] = str) -> str:
        """See `Engine.tail`."""
        container = await self._call("tail", at_once(lambda: self.host.get(workload_id)), _SHORT)
        _check_log(container)
        return edit("".join(f"{each.text}\n" for each in container.printed[-lines:]))

    async def logs(
        self,
        workload_id: str,
        *,
        follow: bool = False,
        since: int = 0,
        tail: int | None = None,
    ) -> AsyncGenerator[Sequence[Printed], None]:
        """See `Engine.logs`. It breaks off where the Engine goes away."""
        container = await self._call("logs", at_once(lambda: self.host.get(workload_id)), _SHORT)
        _check_log(container)
        told = max(0, len(container.printed) - tail) if tail is not None else 0
        while self._here:
            live = follow and container.status is Status.LIVE
            new = [each for each in container.printed[told:] if each.at >= since]
            told = max(told, len(container.printed))
            if new:
                yield new
            if not live:
                return
            await asyncio.sleep(_LOG_POLL)

    async def stats(self, workload_ids: Sequence[str], *, timeout: float) -> Mapping[str, Usage]:
        """See `Engine.stats`. Each uses half of a processor, and a megabyte."""

        def find() -> Mapping[str, Usage]:
            live = {c.id: c for c in self.host.live}
            now = time.time()
            return {
                each: Usage(now, (now - live[each].started_at) / 2, 2**20, 0, 1)
                for each in workload_ids
                if each in live
            }

        return await self._call("stats", at_once(find), timeout)

    async def list(
        self, *, unless: Callable[[Workload], bool] = lambda _: False
    ) -> Sequence[Workload]:
        """See `Engine.list`."""
        return [each for each in await self.find(self._selector) if not unless(each)]

    async def find(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        """See `Engine.find`."""
        work = at_once(lambda: [_workload(c) for c in self.host.containers if _has(c, labels)])
        return await self._call("list", work, _SHORT)

    async def names(self) -> Sequence[str]:
        """See `Engine.names`."""
        work = at_once(lambda: [c.spec.name for c in self.host.containers])
        return await self._call("names", work, _SHORT)

    async def traits(self) -> frozenset[Trait]:
        """See `Engine.traits`."""
        return await self._call("traits", at_once(lambda: self.has_traits), _SHORT)

    async def offers(self) -> Offers:
        """See `Engine.offers`."""
        return await self._call("offers", at_once(lambda: self.has_offers), _SHORT)

    async def watch(self) -> AsyncGenerator[Listing | Event, None]:
        """See `Engine.watch`."""
        stream: asyncio.Queue[Event | None] = asyncio.Queue()
        self._connect()
        try:
            await self._call("watch", at_once(lambda: self._streams.setdefault(stream)), _SHORT)
            yield Listing(await self.list())
            while event := await stream.get():
                await self._awake.wait()
                yield event
        finally:
            self._streams.pop(stream, None)

    async def close(self) -> None:
        """See `Engine.close`."""
        self.go_away()

    def _start_made(self, container_id: str) -> None:
        """Start what a launch has made, unless a third party has removed it meanwhile."""
        try:
            if self.host.get(container_id).status is Status.REMOVING:
                raise EngineFailed(f"container {container_id}: is marked for removal")
            self.host.start(container_id)
        except NoSuchWorkload as gone:
            raise EngineFailed(gone.message) from None

    def _connect(self) -> None:
        if self.departing:
            raise EngineUnavailable("the fake Engine takes no new connection")

    async def _call(
        self, operation: Operation, work: Callable[[], Awaitable[T]], timeout: float
    ) -> T:
        """Make a call as over a connection: the work goes on, whatever becomes of who asked."""
        self.calls[operation] += 1
        if not self._here:
            await asyncio.sleep(0)
            raise EngineUnavailable("the fake Engine cannot be reached")
        steps = self._carry_out(operation, work)
        doing = asyncio.create_task(steps, name=operation, context=self._context)
        self._under_way[doing] = None
        doing.add_done_callback(self._forget)
        done, _ = await asyncio.wait({doing}, timeout=max(timeout, 0))
        if not done:
            raise EngineTimeout(f"the fake Engine took too long to {operation}")
        if doing.cancelled():
            raise EngineUnavailable("the fake Engine has gone away")
        return doing.result()

    def _once_free(
        self, workload_id: str, work: Callable[[], Awaitable[T]]
    ) -> Callable[[], Awaitable[T]]:
        """Work on a container that may be stuck."""

        async def wait_and_work() -> T:
            await self.stuck.wait_for(workload_id)
            return await work()

        return wait_and_work

    async def _carry_out(self, operation: Operation, work: Callable[[], Awaitable[T]]) -> T:
        await asyncio.sleep(self.latency())
        await self._awake.wait()
        await self.faults.meet(operation, after=False)
        result = await work()
        await self.faults.meet(operation, after=True)
        await asyncio.sleep(self.latency())
        return result

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._under_way.pop(task, None)
        if not task.cancelled():
            task.exception()  # seen: the caller may have given up

    def _publish(self, event: Event) -> None:
        if self._selector.items() <= event.labels.items():
            for stream in self._streams:
                stream.put_nowait(event)


def _check_log(container: Container) -> None:
    if (log := container.spec.surroundings.log) and log.driver == "none":
        raise EngineRefused(UNREADABLE_LOG)


def at_once(function: Callable[[], T]) -> Callable[[], Awaitable[T]]:
    """Work that does not wait, as work that may."""

    async def work() -> T:
        return function()

    return work


def _has(container: Container, labels: Mapping[str, str]) -> bool:
    return labels.items() <= container.spec.labels.items()


def _workload(container: Container) -> Workload:
    return Workload(
        id=container.id,
        name=container.spec.name,
        status=Status.LIVE if container.unsettled else container.status,
        labels=dict(container.spec.labels),
        created_at=container.created_at,
        paused=container.paused,
        health=_health(container),
        image=container.spec.image,
        image_digest=digest_of(container.spec.image),
        aside=is_aside(container.spec.name, container.id),
        replaced=has_ended(container.spec.name, container.id),
        node=container.node,
    )


def digest_of(image: str) -> str:
    """The digest that the image has here."""
    return f"sha256:{sha256(image.encode()).hexdigest()}"


def _health(container: Container) -> Health:
    """What a listing tells of it: nothing of what does not run, or is paused."""
    runs = container.status is Status.LIVE and not container.paused
    return container.health if runs else Health.UNKNOWN


def _inspection(container: Container) -> Inspection:
    log = container.spec.surroundings.log
    return Inspection(
        id=container.id,
        status=container.status,
        labels=dict(container.spec.labels),
        exit_code=container.exit_code,
        oom_killed=container.oom_killed,
        name=container.spec.name,
        image=container.spec.image,
        image_digest=digest_of(container.spec.image),
        created_at=container.created_at,
        started_at=container.started_at,
        ended_at=container.ended_at,
        arguments=tuple(container.spec.arguments),
        health=container.health,
        probe=container.probe,
        environment=tuple(f"{k}={v}" for k, v in container.spec.environment.items()),
        log_driver=log.driver if log else "",
        log_options=tuple(value for _, value in log.options) if log else (),
        paused=container.paused,
        aside=is_aside(container.spec.name, container.id),
        replaced=has_ended(container.spec.name, container.id),
        node=container.node,
    )
