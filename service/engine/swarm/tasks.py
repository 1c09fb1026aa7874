"""Derives a workload from its service and its tasks. Makes no calls.

A service has one task that Swarm never restarts. A stop gives the service a placement that no node
has (`NOWHERE`). Swarm then ends the task, keeps its exit code, and adds a task that never starts.
Scaling the service to zero would end the task as well, but Swarm forgets it within 0.25 s.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from service.engine.swarm.answers import Service, Task, TaskState
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Inspection, Status, Workload

NOWHERE = "node.id==stopped"
"""A constraint that no node fulfils: no id of a node has seven characters."""

NAME_LABEL = "area.supervisor.service"
"""On containers: the name of the service, which a listing of tasks does not contain."""

# The states of a task that has ended by itself, as its node has seen.
_BY_ITSELF = (TaskState.COMPLETE, TaskState.FAILED)
# The states of a task that has run and ended. `SHUTDOWN` means that Swarm has ended it.
_RAN = (TaskState.COMPLETE, TaskState.SHUTDOWN, TaskState.FAILED)


@dataclass(frozen=True, slots=True)
class Nodes:
    """The machines that tasks are on: their names by id, and those that are lost."""

    names: Mapping[str, str] = field(default_factory=dict)
    lost: Collection[str] = frozenset()

    def name(self, node_id: str) -> str:
        """The name of a machine, or its id."""
        return self.names.get(node_id, node_id)


def by_service(tasks: Iterable[Task]) -> Mapping[str, Task]:
    """For each service the task that is its workload."""
    found: defaultdict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        if NOWHERE not in task.constraints:
            found[task.ServiceID].append(task)
    return {service: chief(of_one) for service, of_one in found.items()}


def chief(tasks: Sequence[Task]) -> Task:
    """The running task, or else the newest: somebody may have made Swarm start another one."""
    return max(tasks, key=lambda task: (task.state is TaskState.RUNNING, task.created_at))


def is_ending(task: Task) -> bool:
    """Whether Swarm wants it to end."""
    return task.DesiredState >= TaskState.SHUTDOWN


def being_stopped(tasks: Iterable[Task]) -> Collection[str]:
    """The services that a supervisor is stopping, or has stopped, according to their tasks.

    Their newest task is the one that never starts. A restart adds a newer one.
    """
    newest: dict[str, Task] = {}
    for task in tasks:
        known = newest.get(task.ServiceID)
        if known is None or task.created_at > known.created_at:
            newest[task.ServiceID] = task
    return {service for service, task in newest.items() if NOWHERE in task.constraints}


def has_ended(task: Task) -> bool:
    """Whether its node has reported its end, or no node will get it.

    An orphaned task counts as well. It has no exit code, so its job is lost.
    """
    unassigned = task.state < TaskState.ASSIGNED
    return task.state >= TaskState.COMPLETE or (unassigned and is_ending(task))


def may_run(task: Task) -> bool:
    """Whether a node has it, and has not reported its end."""
    return TaskState.ASSIGNED <= task.state < TaskState.COMPLETE


def is_lost(task: Task, nodes: Nodes) -> bool:
    """Whether its node is down or has left the Swarm, so that its state is unknown.

    Swarm has given such a task up, and does not take it back when the node returns.
    """
    gone = task.NodeID in nodes.lost or task.NodeID not in nodes.names
    return is_ending(task) and not has_ended(task) and gone


def status(task: Task, nodes: Nodes) -> Status:
    """The state of the workload."""
    if has_ended(task) or is_lost(task, nodes):
        return Status.EXITED
    return Status.LIVE if task.state is TaskState.RUNNING else Status.CREATED


def exit_code(task: Task) -> int | None:
    """The exit code of its program; None if that is unknown."""
    container = task.Status.ContainerStatus
    if task.state is TaskState.COMPLETE:
        return 0
    if task.state not in _RAN or container is None or not container.ContainerID:
        return None
    # A node that could not inspect the container when it ended a task reports 0, too.
    return container.ExitCode


def workload(task: Task, nodes: Nodes, *, stopping: bool = False) -> Workload:
    """The workload, as a listing shows it."""
    return Workload(
        id=task.ServiceID,
        name=task.labels.get(NAME_LABEL, ""),
        status=status(task, nodes),
        labels=task.labels,
        created_at=task.created_at,
        node=nodes.name(task.NodeID),
        stopping=stopping,
        image=task.image,
        image_digest=_digest(task.image),
    )


def bare_workload(service: Service) -> Workload:
    """A service without a task: Swarm is about to make the task, or somebody has removed it."""
    return Workload(
        id=service.ID,
        name=service.name,
        status=_bare_status(service),
        labels=service.labels,
        created_at=service.created_at,
        stopping=is_stopped(service),
    )


def just_launched(service_id: str, spec: WorkloadSpec, node: str, at: float) -> Workload:
    """A workload whose launch has ended at a time, as the next listing will show it."""
    return Workload(
        id=service_id,
        name=spec.name,
        status=Status.LIVE,
        labels=spec.labels,
        created_at=at,
        node=node,
    )


def inspection(task: Task, nodes: Nodes, *, stopping: bool = False) -> Inspection:
    """The details of a workload. A task that has ended does not say when it was started."""
    now = status(task, nodes)
    ran = task.state is TaskState.RUNNING or task.state in _RAN
    lost = is_lost(task, nodes)
    began = task.since if task.state is TaskState.RUNNING else task.created_at
    return Inspection(
        id=task.ServiceID,
        status=now,
        labels=task.labels,
        exit_code=exit_code(task),
        oom_killed=False,
        name=task.labels.get(NAME_LABEL, ""),
        image=task.image,
        image_digest=_digest(task.image),
        created_at=task.created_at,
        started_at=began if ran else 0.0,
        ended_at=task.since if now is Status.EXITED and not lost else None,
        arguments=task.arguments,
        environment=task.Spec.ContainerSpec.environment,
        log_driver=task.Spec.log_driver,
        log_options=task.Spec.log_options,
        stopping=stopping,
        node=nodes.name(task.NodeID),
        witnessed=task.state in _BY_ITSELF and exit_code(task) is not None,
    )


def bare_inspection(service: Service) -> Inspection:
    """The details of a service without a task."""
    status, container = _bare_status(service), service.Spec.TaskTemplate.ContainerSpec
    return Inspection(
        id=service.ID,
        status=status,
        labels=service.labels,
        exit_code=None,
        oom_killed=False,
        name=service.name,
        image=container.Image,
        image_digest=_digest(container.Image),
        created_at=service.created_at,
        started_at=service.created_at if status is Status.EXITED else 0.0,
        ended_at=None,
        arguments=tuple(container.Args or ()),
        environment=container.environment,
        log_driver=service.Spec.TaskTemplate.log_driver,
        log_options=service.Spec.TaskTemplate.log_options,
        stopping=is_stopped(service),
    )


def _digest(image: str) -> str:
    """The digest in the name of an image. If there is none, only the nodes know it."""
    return image.partition("@")[2]


def is_stopped(service: Service) -> bool:
    """Whether a supervisor is stopping it, or has stopped it, according to its spec."""
    return NOWHERE in (service.Spec.TaskTemplate.Placement.Constraints or ())


def _bare_status(service: Service) -> Status:
    wanted = service.wanted and not is_stopped(service)
    return Status.CREATED if wanted else Status.EXITED
