"""The adapter for one Swarm. A workload is a service with one task, and has the service's id.

A manager is a Docker Engine, so calls, threads and connections come from the adapter for Docker.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from observability.metrics import Metrics
from observability.redaction.redactor import Redactor
from service.engine.base import EngineCall
from service.engine.capabilities import Capabilities
from service.engine.configuration import Offers, Trait
from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client
from service.engine.docker.connection import Clients, Connection
from service.engine.docker.host_paths import check_folders
from service.engine.docker.logs import Logs
from service.engine.docker.own_container import find_own_container
from service.engine.docker.shutdown_check import ShutdownCheck, ping_new_connection
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.docker.usage import Usages
from service.engine.events import Event, Listing
from service.engine.output import UNREADABLE_LOG, Printed, Usage
from service.engine.swarm.beginnings import Beginnings
from service.engine.swarm.ends import Ends
from service.engine.swarm.launch import Launch
from service.engine.swarm.left_secrets import LeftSecrets
from service.engine.swarm.listing import Listings, Poll
from service.engine.swarm.machines import KnownNodes
from service.engine.swarm.manager import Manager
from service.engine.swarm.names import SWARM_NAMES, SWARM_TITLE
from service.engine.swarm.news import follow
from service.engine.swarm.others import names_of_others
from service.engine.swarm.services import (
    inspect,
    last_output,
    remove,
    running_containers,
    task_of,
)
from service.engine.swarm.setup_check import check_swarm
from service.engine.swarm.shared_looks import SharedLooks
from service.engine.swarm.specs import can_gain_privileges
from service.engine.swarm.successors import start_again
from service.engine.swarm.tasks import has_ended, just_launched
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Begun, Exit, Inspection, Whereabouts, Workload
from service.errors import EngineRefused, NoSuchWorkload

T = TypeVar("T")

# The time limits of calls (seconds). A manager needs some seconds to list thousands of tasks.
_SHORT, _LISTING = 10.0, 30.0
_PING, _DEEP_PING, _SHUTDOWN_CHECK = 2.0, 2.5, 5.0
# A manager fetches the output of a task from its node, which may be gone.
_LOGS = 5.0
_ID, _NAME, _IMAGE = "docker.swarm.service.id", "container.name", "container.image.name"


class SwarmEngine:
    """Runs workloads as services. Those with the labels of `selector` are ours."""

    title = SWARM_TITLE
    name_grammar = SWARM_NAMES

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

        Volumes may use only folders of the host that are within `allowed_folders`.
        """
        self._allowed_folders = allowed_folders
        self.capabilities = Capabilities(
            find_others=self.find_others, sweep_files=self.sweep_files, successor_keeps_id=True
        )
        self._connection = connection
        self._calls = Calls(Clients(connection), metrics, launches=launches)
        self._selector = selector
        self._beginnings = Beginnings()
        self._nodes = KnownNodes()
        self._looks = SharedLooks()
        self._reader = TolerantReader()
        self._listings = Listings(selector, self._nodes, self._reader)
        self._ends = Ends(self._calls, metrics)
        self._shutdown_check = ShutdownCheck(partial(self._ping_new_connection, _SHUTDOWN_CHECK))
        self._left_secrets = LeftSecrets(selector)
        self._logs = Logs(self._calls, connection)
        self._usages = Usages(self._calls)
        self._checked = False
        self._launched: list[Workload] = []  # since the last listing

    def whereabouts(self, workloads: Sequence[Workload]) -> Whereabouts:  # noqa: ARG002 - see base
        # Supervisors may share a Swarm, so none of them has to find its own workload.
        return Whereabouts()

    async def ping(self, *, deep: bool = False) -> None:
        """With `deep`, check that the Swarm has a leader."""
        if deep:
            call = Call("ping", lambda c: Manager(c).check_leader())
            await self._calls.call(call, timeout=_DEEP_PING)
        else:
            await self._ping_new_connection(_PING)

    async def _ping_new_connection(self, timeout: float) -> None:
        await self._calls.call(Call("ping", ping_new_connection), timeout=timeout)

    async def leaving(self) -> bool:
        """Whether the manager is stopping. Workloads on other nodes run on."""
        return await self._shutdown_check.leaving()

    async def start(self, spec: WorkloadSpec, *, timeout: float) -> Begun:
        """A node that lacks the image pulls it, within the timeout."""
        about = {_NAME: spec.name, _IMAGE: spec.image}
        launch = Launch(spec, self._beginnings, self._nodes, self._looks)
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout

        def create(client: Client) -> str:
            check_folders(spec, self._allowed_folders)
            return launch.create(client)

        make = Call("create", create, about, spec.redact)
        service_id = await self._calls.call(make, timeout=timeout)
        about = {**about, _ID: service_id}
        begin = Call("start", lambda c: launch.follow(c, service_id), about, spec.redact)
        node = await self._calls.call(begin, timeout=deadline - clock())
        self._launched.append(just_launched(service_id, spec, node, time.time()))
        return Begun(service_id, node)

    async def start_successor(
        self,
        workload_id: str,
        labels: Mapping[str, str],
        *,
        redact: Callable[[Inspection], Redactor],
        timeout: float,
    ) -> Begun:
        """Have Swarm make a new task of the service, which keeps its id."""
        scrub = redact(await self.inspect(workload_id))
        again = partial(
            start_again,
            service_id=workload_id,
            labels=labels,
            allowed_folders=self._allowed_folders,
            redact=scrub,
            nodes=self._nodes,
        )
        begin = Call("start", again, {_ID: workload_id}, scrub)
        return Begun(workload_id, await self._calls.call(begin, timeout=timeout))

    async def stop(self, workload_id: str, *, grace: float) -> Exit | None:  # noqa: ARG002 - see base
        """Swarm uses the grace that the workload was started with."""
        task = await self._ask("inspect", workload_id, lambda m: task_of(m, workload_id))
        if task is None or has_ended(task):
            return None
        await self._ask("stop", workload_id, lambda m: m.stop(workload_id))
        return await self._ends.of(task)

    async def remove(self, workload_id: str, *, force: bool = False) -> bool:
        """With `force`, stop it first, so that its name stays taken until it has ended."""
        try:
            if force:
                await self.stop(workload_id, grace=0.0)
            nodes = self._nodes
            await self._ask(
                "remove", workload_id, lambda m: remove(m, workload_id, nodes, force=force)
            )
        except NoSuchWorkload:
            return False
        return True

    async def inspect(self, workload_id: str, *, timeout: float = _SHORT) -> Inspection:
        return await self._ask(
            "inspect", workload_id, lambda m: inspect(m, workload_id, self._nodes), timeout=timeout
        )

    async def tail(self, workload_id: str, *, lines: int, edit: Callable[[str], str] = str) -> str:
        def read(manager: Manager) -> str | None:
            output = last_output(manager, workload_id, lines)
            return None if output is None else edit(output)

        output = await self._ask("logs", workload_id, read, timeout=_LOGS)
        if output is None:
            raise EngineRefused(UNREADABLE_LOG)
        return output

    async def logs(
        self,
        workload_id: str,
        *,
        follow: bool = False,
        since: int = 0,
        tail: int | None = None,
    ) -> AsyncGenerator[Sequence[Printed], None]:
        """If the output was not kept, a manager returns an empty answer and no error."""
        if await self._ask("inspect", workload_id, lambda m: m.service(workload_id).keeps_no_log):
            raise EngineRefused(UNREADABLE_LOG)
        lines = self._logs.read("services", workload_id, _ID, follow=follow, since=since, tail=tail)
        async with aclosing(lines):
            async for each in lines:
                yield each

    async def stats(
        self, workload_ids: Sequence[str], *, timeout: float
    ) -> Mapping[str, Usage | None]:
        """A manager knows only the usage of containers on its own machine."""
        running = Call("list", lambda c: running_containers(Manager(c), self._selector))
        containers = await self._calls.call(running, timeout=timeout)
        wanted = {each: containers[each] for each in workload_ids if each in containers}
        here = {container: each for each, container in wanted.items() if container}
        found = await self._usages.of(list(here), timeout=timeout)
        elsewhere = [each for each, container in wanted.items() if container is None]
        return {here[each]: usage for each, usage in found.items()} | dict.fromkeys(elsewhere)

    async def list(
        self, *, unless: Callable[[Workload], bool] = lambda _: False
    ) -> Sequence[Workload]:
        """Make two calls."""
        return await self._list(self._selector, unless)

    async def find(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        """Make two calls."""
        return await self._list(labels, lambda _: False)

    async def _list(
        self, labels: Mapping[str, str], unless: Callable[[Workload], bool]
    ) -> Sequence[Workload]:
        call = Call("list", lambda c: self._listings.all(c, labels, unless))
        return await self._calls.call(call, timeout=_LISTING)

    async def find_others(self, labels: Mapping[str, str]) -> Sequence[str]:
        """The names of services, and of containers on the manager's machine."""
        here = find_own_container()
        call = Call("list", lambda c: sorted(names_of_others(c, labels, here, self._reader)))
        return await self._calls.call(call, timeout=_LISTING)

    async def sweep_files(self, *, grace: float) -> int:
        """Make one call if there are no secrets, else two."""
        call = Call("list", lambda c: self._left_secrets.remove(c, grace=grace))
        return await self._calls.call(call, timeout=_LISTING)

    async def names(self) -> Sequence[str]:
        return await self._calls.call(Call("list", lambda c: Manager(c).names()), timeout=_SHORT)

    async def traits(self) -> frozenset[Trait]:
        """Those that follow from the API's version. A manager does not know those of its nodes."""
        ask = Call("info", lambda c: can_gain_privileges(c.api_version))
        gains = await self._calls.call(ask, timeout=_SHORT)
        return frozenset({Trait.GAINS_PRIVILEGES} if gains else ())

    async def offers(self) -> Offers:
        """Unknown: a manager does not know what its nodes offer."""
        return Offers()

    async def watch(self) -> AsyncGenerator[Listing | Event, None]:
        """Raises `StartError` if the Engine cannot be a manager of a Swarm."""
        if not self._checked:
            await self._calls.call(Call("info", check_swarm), timeout=_SHORT)
            self._checked = True
        self._launched.clear()  # the listing has them
        news = follow(await self.list(), self._poll, asyncio.sleep, self._take_launched)
        async for item in news:
            yield item

    def _take_launched(self) -> Sequence[Workload]:
        launched, self._launched = self._launched, []
        return launched

    async def _poll(self, before: Sequence[Workload]) -> Poll:
        call = Call("list", lambda c: self._listings.poll(c, before))
        polled = await self._calls.call(call, timeout=_LISTING)
        for image in polled.doubtful:
            self._beginnings.distrust(image)
        return polled

    async def close(self) -> None:
        self._calls.close()

    async def _ask(
        self,
        operation: EngineCall,
        service_id: str,
        function: Callable[[Manager], T],
        *,
        timeout: float = _SHORT,
    ) -> T:
        call = Call(operation, lambda client: function(Manager(client)), {_ID: service_id})
        return await self._calls.call(call, timeout=timeout)
