"""What is asked of a manager about one service, in more than one request. It blocks."""

from service.engine.base import Inspection, Status
from service.engine.swarm.answers import Task, TaskState
from service.engine.swarm.manager import Manager
from service.engine.swarm.names import SWARM_TITLE
from service.engine.swarm.tasks import (
    Nodes,
    bare_inspection,
    by_service,
    inspection,
    is_ending,
    status,
)
from service.errors import EngineRefused


def task_of(manager: Manager, service_id: str) -> Task | None:
    """The task that is the workload. Raises `NoSuchWorkload`."""
    return by_service(manager.tasks_of(service_id)).get(service_id)


def inspect(manager: Manager, service_id: str) -> Inspection:
    """A close look. Raises `NoSuchWorkload`."""
    task = task_of(manager, service_id)
    if task is None:
        return bare_inspection(manager.service(service_id))
    return inspection(task, nodes_of(manager, task))


def remove(manager: Manager, service_id: str, *, force: bool) -> None:
    """Remove a service. Raises `NoSuchWorkload`; `EngineRefused` if it runs, without `force`."""
    if not force:
        task = task_of(manager, service_id)
        if task is not None and status(task, nodes_of(manager, task)) is Status.LIVE:
            raise EngineRefused(
                f"the {SWARM_TITLE} was not asked to remove service {service_id}: it runs"
            )
    manager.remove(service_id)


def nodes_of(manager: Manager, task: Task) -> Nodes:
    """The nodes, if that of a task may be lost, and no request for them if not."""
    doubtful = is_ending(task) and task.state < TaskState.COMPLETE
    return manager.nodes() if doubtful else Nodes()

