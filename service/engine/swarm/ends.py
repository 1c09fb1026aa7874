"""Lets stops wait for the ends of their tasks. Polls many of these tasks with one request."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass

from observability.logs import get_logger
from observability.metrics import Metrics
from observability.spans import annotate
from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client
from service.engine.swarm.answers import Task
from service.engine.swarm.manager import Manager
from service.engine.swarm.names import SWARM_TITLE
from service.engine.swarm.tasks import Nodes, by_service, exit_code, has_ended, is_lost
from service.engine.workloads import Exit
from service.errors import EngineError, EngineTimeout, NoSuchWorkload

log = get_logger(__name__)

_SHORT = 10.0  # the time limit of a call (seconds)
# The pause between two requests (seconds), or twice as long as a request has taken.
_LOOK = 0.1
# How often the nodes are listed, to find those that are gone (seconds).
_NODES = 2.0
# Beyond the grace (seconds): a node waits for 2 s before it sends SIGTERM, and Swarm takes up to
# 20 s to give up a node that is gone.
_DELAY = 45.0
_MOST_AT_ONCE = 200  # services in a request: their ids are in its URL

_Found = tuple[Mapping[str, Task | None], Nodes | None]


@dataclass(frozen=True, slots=True)
class _LostWith:
    """The node is gone, so the end of the task is unknown."""

    node: str


_End = Exit | _LostWith | None


class Ends:
    """Reports the end of each task to the stops that wait for it."""

    def __init__(self, calls: Calls, metrics: Metrics) -> None:
        self._calls = calls
        self._metrics = metrics
        self._awaited: dict[str, list[asyncio.Future[_End]]] = {}  # by service
        self._looking: asyncio.Task[None] | None = None
        self._nodes = Nodes()  # as they were listed last
        self._nodes_at = 0.0  # when they were listed (`monotonic`)

    async def of(self, task: Task) -> Exit | None:
        """Wait for the end of a task that is being stopped. Return its exit, if that is known.

        None also if the service or the node is gone. Raises the `EngineError`s.
        """
        end: asyncio.Future[_End] = asyncio.get_running_loop().create_future()
        waiting = self._awaited.setdefault(task.ServiceID, [])
        waiting.append(end)
        self._begin()
        try:
            async with asyncio.timeout(task.grace + _DELAY):
                found = await end
        except TimeoutError:
            raise EngineTimeout(
                f"the {SWARM_TITLE} took too long: stop for service {task.ServiceID}"
                f" on {self._nodes.name(task.NodeID) or 'no node'}"
            ) from None
        finally:
            waiting.remove(end)
            if not waiting and self._awaited.get(task.ServiceID) is waiting:
                del self._awaited[task.ServiceID]
        if isinstance(found, _LostWith):
            self._report(task.ServiceID, found.node)
            return None
        return found

    def _report(self, service: str, node: str) -> None:
        """Report, in the trace of the kill, that its job may still run."""
        log.warning("node.lost", node=node, container_id=service)
        annotate({"supervisor.node.lost": node})
        self._metrics.kills_on_lost_nodes.labels(node).inc()

    def _begin(self) -> None:
        if self._looking is None or self._looking.done():
            # In no trace, because it polls for all stops.
            self._looking = asyncio.get_running_loop().create_task(
                self._look(), name="ends", context=Context()
            )

    async def _look(self) -> None:
        self._nodes_at = time.monotonic()
        while services := list(self._awaited):
            began = time.monotonic()
            with_nodes = began - self._nodes_at >= _NODES
            if with_nodes:
                self._nodes_at = began
            for first in range(0, len(services), _MOST_AT_ONCE):
                await self._look_at(services[first : first + _MOST_AT_ONCE], with_nodes=with_nodes)
            await asyncio.sleep(max(_LOOK, 2 * (time.monotonic() - began)))

    async def _look_at(self, services: Sequence[str], *, with_nodes: bool) -> None:
        try:
            tasks, nodes = await self._ask(services, with_nodes=with_nodes)
        except EngineError as error:
            self._fail(services, error)
            return
        self._nodes = nodes or self._nodes
        for service, task in tasks.items():
            self._consider(service, task, nodes)

    async def _ask(self, services: Sequence[str], *, with_nodes: bool) -> _Found:
        def ask(client: Client) -> _Found:
            manager = Manager(client)
            tasks = _tasks_of(manager, services)
            return tasks, manager.nodes() if with_nodes else None

        return await self._calls.call(Call("list", ask), timeout=_SHORT)

    def _consider(self, service: str, task: Task | None, nodes: Nodes | None) -> None:
        if task is None:
            self._resolve(service, None)
        elif has_ended(task):
            code = exit_code(task)
            self._resolve(service, None if code is None else Exit(code, task.since))
        elif nodes is not None and is_lost(task, nodes):
            self._resolve(service, _LostWith(nodes.name(task.NodeID)))

    def _resolve(self, service: str, found: _End) -> None:
        for end in self._awaited.pop(service, ()):
            if not end.done():
                end.set_result(found)

    def _fail(self, services: Sequence[str], error: EngineError) -> None:
        for service in services:
            for end in self._awaited.pop(service, ()):
                if not end.done():
                    end.set_exception(error)


def _tasks_of(manager: Manager, services: Sequence[str]) -> Mapping[str, Task | None]:
    """The task of each service; None if the service is gone or has no task."""
    try:
        found = by_service(manager.tasks_of(*services))
    except NoSuchWorkload:
        if len(services) == 1:
            return {services[0]: None}
        halves = services[: len(services) // 2], services[len(services) // 2 :]
        return {**_tasks_of(manager, halves[0]), **_tasks_of(manager, halves[1])}
    return {service: found.get(service) for service in services}
