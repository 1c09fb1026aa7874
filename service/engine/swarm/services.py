"""Calls to a manager about one service that take more than one request. They block."""

from collections.abc import Mapping

from service.engine.docker.parsing import read
from service.engine.swarm.answers import Task
from service.engine.swarm.left_secrets import remove_if_possible
from service.engine.swarm.machines import KnownNodes
from service.engine.swarm.manager import Manager
from service.engine.swarm.names import SWARM_TITLE
from service.engine.swarm.tasks import (
    bare_inspection,
    being_stopped,
    by_service,
    inspection,
    status,
)
from service.engine.workloads import Inspection, Status
from service.errors import EngineRefused


def task_of(manager: Manager, service_id: str) -> Task | None:
    """The task that is the workload. Raises `NoSuchWorkload`."""
    return by_service(manager.tasks_of(service_id)).get(service_id)


def last_output(manager: Manager, service_id: str, lines: int) -> str | None:
    """The last lines that a workload has printed; None if its output is not kept.

    Raises `NoSuchWorkload`.
    """
    task = task_of(manager, service_id)
    return manager.output_of(task, lines=lines) if task else ""


def inspect(manager: Manager, service_id: str, nodes: KnownNodes) -> Inspection:
    """The details of a workload. Raises `NoSuchWorkload`."""
    tasks = manager.tasks_of(service_id)
    task = by_service(tasks).get(service_id)
    if task is None:
        return bare_inspection(manager.service(service_id))
    return inspection(task, nodes.of(manager, [task]), stopping=bool(being_stopped(tasks)))


def remove(manager: Manager, service_id: str, nodes: KnownNodes, *, force: bool) -> None:
    """Remove a service, with its secret.

    Raises `NoSuchWorkload`; `EngineRefused` if it runs, without `force`.
    """
    task = task_of(manager, service_id)
    if task and not force and status(task, nodes.of(manager, [task])) is Status.LIVE:
        raise EngineRefused(
            f"the {SWARM_TITLE} was not asked to remove service {service_id}: it runs"
        )
    spec = task.Spec if task else manager.service(service_id).Spec.TaskTemplate
    manager.remove(service_id)
    for secret in spec.ContainerSpec.secrets:
        remove_if_possible(manager, secret)


def running_containers(manager: Manager, labels: Mapping[str, str]) -> Mapping[str, str | None]:
    """The running containers by service; None for one on another machine."""
    here = manager.info().Swarm.NodeID
    tasks = (read(Task, item) for item in manager.each_task(labels))
    return {
        task.ServiceID: task.container if task.NodeID == here else None
        for task in tasks
        if task.runs
    }
