"""The workloads of an instance, as a manager lists its tasks and services.

A listing of tasks has everything about a workload except its name, and lacks services without a
task. Tasks whose text has not changed since the last poll are not decoded again.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.engine.docker.client import Client
from service.engine.docker.list_reader import decode_json, with_pauses
from service.engine.docker.parsing import Unreadable, read
from service.engine.docker.start_check import MAYBE_NOT_RUN
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.swarm.answers import Service, Task, TaskState
from service.engine.swarm.machines import KnownNodes
from service.engine.swarm.manager import Manager
from service.engine.swarm.tasks import (
    Nodes,
    bare_workload,
    being_stopped,
    by_service,
    exit_code,
    has_ended,
    is_lost,
    workload,
)
from service.engine.workloads import Workload
from service.errors import NoSuchWorkload

Unless = Callable[[Workload], bool]

# By so many characters at the beginning of its text a task is found again: they have its id.
_BEGINNING = len('{"ID":"') + 25


class _Read(NamedTuple):
    """A task, and the text that it was read from."""

    text: str
    task: Task


@dataclass(frozen=True, slots=True)
class Poll:
    """The result of one listing of tasks, and how long it took, also in our CPU time (seconds)."""

    workloads: Sequence[Workload]
    tasks: Mapping[str, Task]  # by service
    nodes: Nodes
    cpu: float
    elapsed: float
    torn: Collection[str] = frozenset()  # services that somebody has removed while they ran

    @property
    def doubtful(self) -> Collection[str]:
        """The images of tasks whose end may mean that their program could not be run."""
        failed = (t for t in self.tasks.values() if t.state is TaskState.FAILED)
        return {task.image for task in failed if exit_code(task) in MAYBE_NOT_RUN}


class Listings:
    """Lists workloads with certain labels again and again. Polls in one thread at a time."""

    def __init__(
        self, labels: Mapping[str, str], nodes: KnownNodes, reader: TolerantReader
    ) -> None:
        self._labels = labels
        self._nodes = nodes
        self._reader = reader
        self._known: Mapping[str, _Read] = {}  # those of the last poll, by their beginnings

    def poll(self, client: Client, before: Sequence[Workload]) -> Poll:
        """List tasks only. Services that were there before and have no task now are inspected."""
        cpu, began = time.thread_time(), time.monotonic()
        manager = Manager(client)
        found = self._tasks(manager, self._labels)
        self._known = {each.text[:_BEGINNING]: each for each in found}
        every = [each.task for each in found]
        wanted = [task for task in every if _is_wanted(task)]
        tasks, stopping = by_service(wanted), being_stopped(wanted)
        nodes = self._nodes.of(manager, every)
        workloads = [workload(t, nodes, stopping=s in stopping) for s, t in tasks.items()]
        gone = [each.id for each in before if each.id not in tasks]
        workloads += _without_task(manager, gone)
        torn = {t.ServiceID for t in every if not _is_wanted(t) and _runs(t, nodes)}
        spent = time.thread_time() - cpu, time.monotonic() - began
        return Poll(workloads, tasks, nodes, *spent, torn)

    def all(self, client: Client, labels: Mapping[str, str], unless: Unless) -> Sequence[Workload]:
        """All workloads with these labels. Makes two requests, and perhaps one for the nodes.

        The services are listed last: a task whose service is missing then was removed meanwhile.
        """
        manager = Manager(client)
        wanted = [t for _, t in self._tasks(manager, labels) if _is_wanted(t)]
        tasks, stopping = by_service(wanted), being_stopped(wanted)
        services = manager.services(labels)
        nodes = self._nodes.of(manager, tasks.values())
        every = (_workload(s, tasks.get(s.ID), nodes, stopping=s.ID in stopping) for s in services)
        return [each for each in every if not unless(each)]

    def _tasks(self, manager: Manager, labels: Mapping[str, str]) -> Sequence[_Read]:
        """All tasks that are readable. Unchanged ones are taken from the last poll."""
        before = self._known

        def decode(text: str, at: int) -> tuple[_Read | None, int]:
            known = before.get(text[at : at + _BEGINNING])
            if known is not None and text.startswith(known.text, at):
                return known, at + len(known.text)
            item, end = decode_json(text, at)
            task = _readable(item, self._reader)
            return _Read(text[at:end], task) if task else None, end

        found = with_pauses(manager.each_task(labels, decode))
        return [each for each in found if each is not None]


def _workload(service: Service, task: Task | None, nodes: Nodes, *, stopping: bool) -> Workload:
    if task is None:
        return bare_workload(service)
    found = workload(task, nodes)
    return Workload(
        id=found.id,
        name=service.name,
        status=found.status,
        labels=service.labels,
        created_at=found.created_at,  # of the task: a service may have run others before
        node=found.node,
        stopping=stopping,
    )


def _without_task(manager: Manager, services: Sequence[str]) -> Iterator[Workload]:
    """Those of these services that still exist."""
    for service_id in services:
        try:
            yield bare_workload(manager.service(service_id))
        except NoSuchWorkload:
            continue


def _is_wanted(task: Task) -> bool:
    """Whether its service exists. Without one, Swarm wants the task to be removed."""
    return task.DesiredState is not TaskState.REMOVE


def _runs(task: Task, nodes: Nodes) -> bool:
    return task.state is TaskState.RUNNING and not (has_ended(task) or is_lost(task, nodes))


def _readable(item: object, reader: TolerantReader) -> Task | None:
    try:
        return read(Task, item)
    except Unreadable as error:
        reader.log_unreadable("list", f"a task: {error}")
        return None
