"""The adapter for one Docker Engine."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import docker

from observability.logs import get_logger
from observability.metrics import Metrics
from service.engine.base import (
    Capabilities,
    Change,
    Event,
    Exit,
    Inspection,
    Listing,
    Status,
    Trait,
    Whereabouts,
    Workload,
    WorkloadSpec,
)
from service.engine.docker.answers import inspection
from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client
from service.engine.docker.connection import Clients, Connection
from service.engine.docker.containers import create, set_aside, start
from service.engine.docker.event_stream import EventStream
from service.engine.docker.exit_waiters import Exits
from service.engine.docker.list_reader import with_pauses
from service.engine.docker.names import DOCKER_NAMES, DOCKER_TITLE
from service.engine.docker.own_container import look_around
from service.engine.docker.shutdown_check import Presence, ping_anew
from service.engine.docker.start_check import Beginnings
from service.engine.docker.stops import Stops
from service.engine.docker.tolerant_reader import Oddities
from service.errors import (
    EngineError,
    EngineFaltered,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    NoSuchWorkload,
)

log = get_logger(__name__)

# What a short call may take (seconds). A ping is quicker, since readiness hangs on it: with the
# second or two between one and the next it has to stay below 5.
_SHORT = 10.0
_PING = 2.0
_DEEP_PING = 2.5
# What leads to an exit being told as lost may take longer, on a busy machine.
_PRESENCE = 5.0
# A name is free again 50 to 90 ms after a removal that somebody else began.
_REMOVAL_POLL = 0.05
_UNDER_WAY = "already in progress"

# How long after an exit Docker may tell that memory ran out (seconds): containerd may report that
# after the exit (its pull request 12714).
_LACK_OF_MEMORY = 0.25
_TRAITS = {"name=rootless": Trait.ROOTLESS, "name=userns": Trait.USERNS_REMAP}
# OpenTelemetry's semantic conventions for containers.
_ID, _NAME, _IMAGE = "container.id", "container.name", "container.image.name"


class DockerEngine:
    """Runs workloads as containers; ours are those that carry the labels of `selector`."""

    title = DOCKER_TITLE
    name_grammar = DOCKER_NAMES

    def __init__(
        self,
        connection: Connection,
        selector: Mapping[str, str],
        metrics: Metrics,
        *,
        launches: int = 8,
    ) -> None:
        """`launches` is how many `start`s there may be at once."""
        self.capabilities = Capabilities(
            set_aside=self.set_aside,
            tells_lack_of_memory_within=_LACK_OF_MEMORY,
            streams_events=True,
        )
        self._connection = connection
        self._clients = Clients(connection)
        self._calls = Calls(self._clients, metrics, launches=launches)
        self._beginnings = Beginnings(self._calls)
        self._selector = selector
        self._exits = Exits()
        self._stops = Stops(self._calls, self._exits, self._is_live)
        self._oddities = Oddities()
        self._presence = Presence(partial(self._ping_anew, _PRESENCE))

    def whereabouts(self, workloads: Sequence[Workload]) -> Whereabouts:
        """See `Engine.whereabouts`."""
        here = look_around()
        own = next((each for each in workloads if here.may_be(each.id, each.network_of)), None)
        return Whereabouts(own, unclear=own is None and here.unclear)

    async def ping(self, *, deep: bool = False) -> None:
        """See `Engine.ping`."""
        if deep:
            await self._calls.call(Call("ping", lambda c: c.ping_deeply()), timeout=_DEEP_PING)
        else:
            await self._ping_anew(_PING)

    async def leaving(self) -> bool:
        """See `Engine.leaving`."""
        return await self._presence.leaving()

    async def _ping_anew(self, timeout: float) -> None:
        await self._calls.call(Call("ping", ping_anew), timeout=timeout)

    async def start(self, spec: WorkloadSpec, *, timeout: float) -> str:
        """See `Engine.start`. Two calls, create and start, and a look where that is needed."""
        about = {_IMAGE: spec.image, _NAME: spec.name}
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout

        def create_named(client: Client) -> str:
            about[_ID] = create(client, spec, self._oddities)
            return about[_ID]

        make = Call("create", create_named, about, spec.redact)
        container_id = await self._calls.call(make, timeout=timeout)
        by_name = {_NAME: spec.name, **about}
        begin = Call("start", lambda c: start(c, container_id, spec), by_name, spec.redact)
        try:
            await self._calls.call(begin, timeout=deadline - clock())
            await self._beginnings.confirm(container_id, spec, timeout=deadline - clock())
        except EngineFaltered:
            raise  # it may have started all the same
        except EngineRefused:
            await self._undo(container_id)
            raise
        return container_id

    async def stop(self, workload_id: str, *, grace: float) -> Exit | None:
        """See `Engine.stop`."""
        return await self._stops.stop(workload_id, grace)

    async def remove(self, workload_id: str, *, force: bool = False) -> None:
        """See `Engine.remove`."""
        remove = Call(
            "remove",
            lambda c: c.remove_container(workload_id, v=True, force=force),
            {_ID: workload_id},
        )
        try:
            await self._calls.call(remove, timeout=_SHORT)
        except NoSuchWorkload:
            return
        except EngineRefused as refusal:
            await self._await_removal(workload_id, refusal)

    async def set_aside(self, workload_id: str) -> str:
        """See `SetAside`. One call: it is inspected and renamed in one turn."""
        call = Call("rename", lambda c: set_aside(c, workload_id), {_ID: workload_id})
        return await self._calls.call(call, timeout=_SHORT)

    async def inspect(self, workload_id: str, *, timeout: float = _SHORT) -> Inspection:
        """See `Engine.inspect`."""
        look = Call(
            "inspect", lambda c: inspection(c.inspect_container(workload_id)), {_ID: workload_id}
        )
        return await self._calls.call(look, timeout=timeout)

    async def tail(self, workload_id: str, *, lines: int, edit: Callable[[str], str] = str) -> str:
        """See `Engine.tail`."""

        def read(client: docker.APIClient) -> str:
            output: bytes = client.logs(workload_id, tail=lines, stdout=True, stderr=True)
            return edit(output.decode(errors="replace"))

        return await self._calls.call(Call("logs", read, {_ID: workload_id}), timeout=_SHORT)

    async def list(
        self, *, unless: Callable[[Workload], bool] = lambda _: False
    ) -> Sequence[Workload]:
        """See `Engine.list`. One call."""
        return await self._list(self._selector, unless)

    async def find(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        """See `Engine.find`. One call."""
        return await self._list(labels, lambda _: False)

    async def _list(
        self, labels: Mapping[str, str], unless: Callable[[Workload], bool]
    ) -> Sequence[Workload]:
        def read(client: Client) -> Sequence[Workload]:
            items = with_pauses(client.each_container(_filter(labels)))
            return [each for each in self._oddities.workloads(items) if not unless(each)]

        return await self._calls.call(Call("list", read), timeout=_SHORT)

    async def names(self) -> Sequence[str]:
        """See `Engine.names`."""
        listing = Call("list", lambda c: list(self._oddities.names(c.containers(all=True))))
        return await self._calls.call(listing, timeout=_SHORT)

    async def traits(self) -> frozenset[Trait]:
        """See `Engine.traits`."""
        look = Call("info", lambda c: _traits(c.info()))
        return await self._calls.call(look, timeout=_SHORT)

    async def watch(self) -> AsyncGenerator[Listing | Event, None]:
        """See `Engine.watch`. Listens before it lists, so that nothing falls between."""
        stream = EventStream(_filter(self._selector), self._oddities)
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def hear(event: Event | None) -> None:
            if event is None:
                self._exits.closed()
            else:
                self._exits.hear(event)
            queue.put_nowait(event)

        def put(event: Event | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(hear, event)

        try:
            # A client of its own: the stream holds its connection for as long as it lives.
            listen = Call("events", lambda _: stream.open(self._clients.negotiate()))
            await self._calls.call(listen, timeout=_SHORT)
            stream.drain(put)
            self._exits.opened()
            yield Listing(await self.list())
            while event := await queue.get():
                if event.change is Change.EXITED:
                    self._beginnings.hear(event.labels.get("image", ""), event.exit_code)
                yield event
        except EngineUnavailable:
            self._connection.check_mount()
            raise
        finally:
            stream.close()

    async def close(self) -> None:
        """See `Engine.close`."""
        self._calls.close()

    async def _is_live(self, container_id: str) -> bool:
        return (await self.inspect(container_id)).status is Status.LIVE

    async def _undo(self, container_id: str) -> None:
        try:
            await self.remove(container_id, force=True)
        except EngineError as error:
            log.warning("container.left_behind", container_id=container_id, error=error.message)

    async def _await_removal(self, container_id: str, refusal: EngineRefused) -> None:
        """Wait for a removal that somebody else has begun; raise the refusal if there is none."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + _SHORT
        while clock() < deadline:
            try:
                found = await self.inspect(container_id)
            except NoSuchWorkload:
                return
            # What is removed by force counts as running until its process is dead.
            if found.status is not Status.REMOVING and _UNDER_WAY not in refusal.message:
                raise refusal
            await asyncio.sleep(_REMOVAL_POLL)
        raise EngineTimeout(f"the Docker Engine took too long: remove for {container_id}")


def _filter(labels: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in labels.items()]


def _traits(info: dict[str, Any]) -> frozenset[Trait]:
    """From its security options, such as `name=seccomp,profile=default`."""
    options = info.get("SecurityOptions")
    names = {str(o).split(",")[0] for o in options} if isinstance(options, list) else set()
    return frozenset(trait for name, trait in _TRAITS.items() if name in names)
