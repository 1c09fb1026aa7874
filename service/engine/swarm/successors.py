"""Starts a service again whose task has ended. It blocks, as a launch does.

The service keeps its name and its id. In one step it gets new labels, and Swarm makes a new task.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

from observability.redaction.redactor import Redactor
from service.engine.docker.client import Client
from service.engine.docker.host_paths import check_binds
from service.engine.swarm.answers import Task, TaskState
from service.engine.swarm.errors import has_begun, no_room, refused, too_slow, waits_for_node
from service.engine.swarm.machines import KnownNodes
from service.engine.swarm.manager import Manager
from service.engine.swarm.tasks import NOWHERE, by_service, chief, has_ended, is_lost, is_stopped
from service.errors import EngineFailed, EngineRefused

_LOOK = 0.3
# The part of a start's time that is reserved for saying what has taken too long (seconds).
_FOR_ERROR = 1.0
# How long a task may wait for a node (seconds).
_PLACEMENT = 12.0


def start_again(
    client: Client,
    service_id: str,
    labels: Mapping[str, str],
    *,
    allowed_folders: Sequence[str],
    redact: Redactor,
    nodes: KnownNodes,
) -> str:
    """Have a service run a new task, and return its node once the program has begun.

    The client's time limit is that of the whole start. Raises `EngineRefused` if the last task has
    not ended, or uses a folder of the host that is not allowed.
    """
    deadline = time.monotonic() + float(client.timeout) - _FOR_ERROR
    manager = Manager(client)
    newest = by_service(manager.tasks_of(service_id)).get(service_id)
    if newest is None or not _is_successor(newest, labels) or _never_ran(newest):
        if newest is not None and not (has_ended(newest) or is_lost(newest, manager.nodes())):
            raise EngineRefused(f"service {service_id}: has not ended")
        manager.change(service_id, lambda spec: restarted(spec, labels, allowed_folders))
    node = partial(nodes.name, manager)
    return node(_follow(manager, service_id, labels, deadline, node=node, redact=redact))


def restarted(
    spec: Mapping[str, Any], labels: Mapping[str, str], allowed_folders: Sequence[str]
) -> Mapping[str, Any]:
    """The spec with which a service runs a new task, with these labels as well.

    Nodes may run it again, although a supervisor may have stopped the last task at its time limit.
    Raises `EngineRefused` if it uses a folder of the host that is not allowed.
    """
    changed = deepcopy(dict(spec))
    template = changed["TaskTemplate"]
    check_binds(template["ContainerSpec"].get("Mounts") or (), allowed_folders)
    template["ForceUpdate"] = template.get("ForceUpdate", 0) + 1
    placement = template.get("Placement") or {}
    constraints = [each for each in placement.get("Constraints") or () if each != NOWHERE]
    template["Placement"] = {**placement, "Constraints": constraints}
    for labelled in (changed, template["ContainerSpec"]):
        labelled["Labels"] = {**(labelled.get("Labels") or {}), **labels}
    return changed


def _follow(
    manager: Manager,
    service_id: str,
    labels: Mapping[str, str],
    deadline: float,
    *,
    node: Callable[[Task], str],
    redact: Redactor,
) -> Task:
    waits_since: float | None = None
    task: Task | None = None
    while time.monotonic() < deadline:
        tasks = [t for t in manager.tasks_of(service_id) if _is_successor(t, labels)]
        if tasks:
            task = chief(tasks)
            if has_begun(task):
                return task
            if _never_ran(task):
                raise refused(service_id, task, node(task), redact)
            waits_since = (waits_since or time.monotonic()) if waits_for_node(task) else None
            if waits_since and time.monotonic() - waits_since > _PLACEMENT:
                raise no_room(service_id, task)
        elif is_stopped(manager.service(service_id)):
            raise EngineFailed(f"service {service_id}: is being stopped")
        time.sleep(_LOOK)
    raise too_slow(f"{service_id} again", task, node(task) if task else "")


def _is_successor(task: Task, labels: Mapping[str, str]) -> bool:
    return NOWHERE not in task.constraints and labels.items() <= task.labels.items()


def _never_ran(task: Task) -> bool:
    """Whether a node has refused it, or it has ended before it ran."""
    return task.state is TaskState.REJECTED or (has_ended(task) and not has_begun(task))
