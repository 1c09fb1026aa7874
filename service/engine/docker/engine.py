"""The adapter's class: which calls each method of the interface makes, and in which order."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial

from observability.metrics import Metrics
from observability.redaction.redactor import Redactor
from service.engine.capabilities import Capabilities
from service.engine.configuration import Offers, Trait
from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client, label_filter
from service.engine.docker.connection import Clients, Connection
from service.engine.docker.containers import last_output, set_aside
from service.engine.docker.engine_info import offers, traits
from service.engine.docker.event_stream import EventStream
from service.engine.docker.exit_waiters import ExitWaiters
from service.engine.docker.inspections import inspection
from service.engine.docker.list_reader import with_pauses
from service.engine.docker.logs import Logs
from service.engine.docker.names import DOCKER_NAMES, DOCKER_TITLE
from service.engine.docker.own_container import find_own_container
from service.engine.docker.pulls import Pulls
from service.engine.docker.removals import Removals
from service.engine.docker.secret_files import SecretFiles
from service.engine.docker.shutdown_check import ShutdownCheck, ping_new_connection
from service.engine.docker.start_check import StartCheck
from service.engine.docker.starts import Starts
from service.engine.docker.stops import Stops
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.docker.usage import Usages
from service.engine.events import Change, Event, Listing
from service.engine.output import UNREADABLE_LOG, Printed, Usage
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Begun, Exit, Inspection, Status, Whereabouts, Workload
from service.errors import EngineError, EngineRefused, EngineUnavailable

# The time limits of calls (seconds). Pings are short because readiness depends on them: together
# with the pause of a second or two between them, a ping has to stay below 5 s.
_SHORT = 10.0
# Podman inspects each container for a list, and waits for those that are being started or removed:
# 300 containers took 7 s under load. Pings find out that an Engine hangs.
_LIST = 30.0
_PING = 2.0
_DEEP_PING = 2.5
# Longer, because a failure makes an exit count as lost, and the machine may be busy.
_SHUTDOWN_CHECK = 5.0
# Of a call whose answer can be done without.
_INFO = 2.0

# How long after an exit Docker may report that memory ran out (seconds): containerd may send it
# after the exit (its pull request 12714).
_LACK_OF_MEMORY = 0.25
# OpenTelemetry's semantic convention for containers.
_ID = "container.id"


class DockerEngine:
    """Runs workloads as containers. Those with the labels of `selector` are ours."""

    title = DOCKER_TITLE
    name_grammar = DOCKER_NAMES

    def __init__(
        self,
        connection: Connection,
        selector: Mapping[str, str],
        metrics: Metrics,
        *,
        launches: int = 8,
        allowed_folders: Sequence[str] = (),
    ) -> None:
        """`launches` is the limit of concurrent `start`s.

        `allowed_folders` is what the folders of the host among volumes have to be within.
        """
        self._connection = connection
        self._clients = Clients(connection)
        self._calls = Calls(self._clients, metrics, launches=launches)
        self._start_check = StartCheck(self._calls)
        self._selector = selector
        self._exits = ExitWaiters()
        self._stops = Stops(self._calls, self._exits, self._is_live)
        self._reader = TolerantReader()
        self._shutdown_check = ShutdownCheck(partial(self._ping_new_connection, _SHUTDOWN_CHECK))
        secret_files = SecretFiles(self._calls, selector)
        self._removals = Removals(self._calls, self.inspect)
        self._starts = Starts(
            self._calls,
            self._reader,
            check=self._start_check,
            secret_files=secret_files,
            removals=self._removals,
            allowed_folders=allowed_folders,
        )
        self._logs = Logs(self._calls, connection)
        self._usages = Usages(self._calls)
        self.capabilities = Capabilities(
            pull=Pulls(self._calls, self._clients).pull,
            set_aside=self.set_aside,
            read_file=secret_files.read,
            sweep_files=secret_files.sweep,
            reports_lack_of_memory_within=_LACK_OF_MEMORY,
            streams_events=True,
        )

    def whereabouts(self, workloads: Sequence[Workload]) -> Whereabouts:
        here = find_own_container()
        own = next((each for each in workloads if here.may_be(each.id, each.network_of)), None)
        return Whereabouts(own, unclear=own is None and here.unclear)

    async def ping(self, *, deep: bool = False) -> None:
        if deep:
            await self._calls.call(Call("ping", lambda c: c.ping_deeply()), timeout=_DEEP_PING)
        else:
            await self._ping_new_connection(_PING)

    async def leaving(self) -> bool:
        return await self._shutdown_check.leaving()

    async def _ping_new_connection(self, timeout: float) -> None:
        await self._calls.call(Call("ping", ping_new_connection), timeout=timeout)

    async def start(self, spec: WorkloadSpec, *, timeout: float) -> Begun:
        return await self._starts.start(spec, timeout=timeout)

    async def start_successor(
        self,
        workload_id: str,
        labels: Mapping[str, str],
        *,
        redact: Callable[[Inspection], Redactor],
        timeout: float,
    ) -> Begun:
        return await self._starts.start_successor(
            workload_id, labels, redact=redact, timeout=timeout
        )

    async def stop(self, workload_id: str, *, grace: float) -> Exit | None:
        return await self._stops.stop(workload_id, grace)

    async def remove(self, workload_id: str, *, force: bool = False) -> bool:
        return await self._removals.remove(workload_id, force=force)

    async def set_aside(self, workload_id: str) -> str:
        call = Call("rename", lambda c: set_aside(c, workload_id), {_ID: workload_id})
        return await self._calls.call(call, timeout=_SHORT)

    async def inspect(self, workload_id: str, *, timeout: float = _SHORT) -> Inspection:
        look = Call(
            "inspect", lambda c: inspection(c.inspect_container(workload_id)), {_ID: workload_id}
        )
        return await self._calls.call(look, timeout=timeout)

    async def tail(self, workload_id: str, *, lines: int, edit: Callable[[str], str] = str) -> str:

        def read(client: Client) -> str | None:
            output = last_output(client, workload_id, lines)
            return None if output is None else edit(output)

        output = await self._calls.call(Call("logs", read, {_ID: workload_id}), timeout=_SHORT)
        if output is None:
            raise EngineRefused(UNREADABLE_LOG)
        return output

    def logs(
        self,
        workload_id: str,
        *,
        follow: bool = False,
        since: int = 0,
        tail: int | None = None,
    ) -> AsyncGenerator[Sequence[Printed], None]:
        return self._logs.read(
            "containers", workload_id, _ID, follow=follow, since=since, tail=tail
        )

    async def stats(self, workload_ids: Sequence[str], *, timeout: float) -> Mapping[str, Usage]:
        return await self._usages.of(workload_ids, timeout=timeout)

    async def list(
        self, *, unless: Callable[[Workload], bool] = lambda _: False
    ) -> Sequence[Workload]:
        return await self._list(self._selector, unless)

    async def find(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        return await self._list(labels, lambda _: False)

    async def _list(
        self, labels: Mapping[str, str], unless: Callable[[Workload], bool]
    ) -> Sequence[Workload]:
        def read(client: Client) -> Sequence[Workload]:
            items = with_pauses(client.each_container(label_filter(labels)))
            return [each for each in self._reader.workloads(items) if not unless(each)]

        return await self._calls.call(Call("list", read), timeout=_LIST)

    async def names(self) -> Sequence[str]:
        listing = Call("list", lambda c: list(self._reader.names(c.containers(all=True))))
        return await self._calls.call(listing, timeout=_LIST)

    async def traits(self) -> frozenset[Trait]:
        look = Call("info", lambda c: traits(c.info()))
        return await self._calls.call(look, timeout=_SHORT)

    async def offers(self) -> Offers:
        look = Call("info", lambda c: offers(c.info()))
        return await self._calls.call(look, timeout=_SHORT)

    async def _learn_log_driver(self) -> None:
        look = Call("info", lambda c: c.default_log_driver())
        try:
            self._starts.log_driver = await self._calls.call(look, timeout=_INFO)
        except EngineUnavailable:
            raise
        except EngineError:  # it refuses this, or hangs at this alone: nothing has to wait for it
            return

    async def watch(self) -> AsyncGenerator[Listing | Event, None]:
        """See `Engine.watch`. Opens the stream before it lists, so that no event is missed."""
        stream = EventStream(self._selector, self._reader)
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def handle(event: Event | None) -> None:
            if event is None:
                self._exits.stream_closed()
            else:
                self._exits.handle_event(event)
            queue.put_nowait(event)

        def soon(function: Callable[..., None], *arguments: object) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(function, *arguments)

        try:
            # With a new client: the stream occupies its connection until it ends.
            listen = Call("events", lambda _: stream.open(self._clients.negotiate()))
            await self._calls.call(listen, timeout=_SHORT)
            stream.drain(partial(soon, handle), partial(soon, self._start_check.forget))
            self._start_check.forget()  # without a stream, no change was reported
            self._exits.stream_opened()
            await self._learn_log_driver()
            yield Listing(await self.list())
            while event := await queue.get():
                if event.change is Change.EXITED:
                    self._start_check.handle_exit(event.labels.get("image", ""), event.exit_code)
                yield event
        except EngineUnavailable:
            self._connection.check_mount()
            raise
        finally:
            stream.close()

    async def close(self) -> None:
        self._calls.close()

    async def _is_live(self, container_id: str) -> bool:
        return (await self.inspect(container_id)).status is Status.LIVE
