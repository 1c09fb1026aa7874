"""One launch: makes the service, and follows its task until the program runs.

It blocks a thread for launches, since Swarm has no events for tasks. A task needs half a second to
run, or several seconds if many are started at once.
"""

import time
from collections.abc import Sequence
from contextlib import suppress

import requests

from observability.logs import get_logger
from service.engine.docker.client import Client
from service.engine.docker.registry_logins import login_for
from service.engine.swarm.answers import Service, Task, TaskState
from service.engine.swarm.beginnings import Beginnings
from service.engine.swarm.errors import (
    has_begun,
    image_missing,
    lacks_image,
    no_node_is_there,
    no_room,
    refused,
    too_slow,
    waits_for_node,
)
from service.engine.swarm.left_secrets import remove_if_possible
from service.engine.swarm.machines import KnownNodes
from service.engine.swarm.manager import Manager
from service.engine.swarm.names import SWARM_TITLE
from service.engine.swarm.services import last_output, task_of
from service.engine.swarm.shared_looks import SLOW, SharedLooks
from service.engine.swarm.tasks import NOWHERE, being_stopped, chief, has_ended, is_ending, may_run
from service.engine.workload_spec import WorkloadSpec
from service.errors import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineUnavailable,
    NameTaken,
    NoSuchWorkload,
)

log = get_logger(__name__)

# The pause between two looks at the tasks of all launches that wait (seconds). A manager records
# the states of tasks every 0.1 s (SwarmKit's dispatcher.go), so looking more often finds no more.
_LOOK = 0.1
# The pause between two tries to take a name (seconds).
_NAME_LOOK = 0.05
# The time limit of a call (seconds). Calls hang while a leader is elected, and are then repeated.
_CALL = 5.0
# The part of a launch's time that is reserved for removing a service that has failed (seconds).
_FOR_REMOVAL = 1.0
# How long a task may wait for a node (seconds). Longer if no node is there, as after an election
# until they have found the leader.
_PLACEMENT, _PLACEMENT_WITHOUT_NODES = 5.0, 12.0
# How long the supervisor of an ended service may take to remove it (seconds).
_REMOVAL_BY_OTHERS = 5.0
# How often a taken name is tried again if its holder cannot be found.
_TRIES = 5


class Launch:
    """Makes a service, and follows it until its program has begun."""

    def __init__(
        self, spec: WorkloadSpec, beginnings: Beginnings, nodes: KnownNodes, looks: SharedLooks
    ) -> None:
        self._spec = spec
        self._beginnings = beginnings
        self._nodes = nodes
        self._looks = looks
        self._deadline = 0.0
        self._task: Task | None = None  # as it was seen last
        self._refusals: dict[str, str] = {}  # the errors of nodes that lack the image
        self._excluded: set[str] = set()  # those of them that its tasks are kept away from
        self._waits_since: float | None = None
        self._ended_since: tuple[str, float] | None = None  # the holder of the name, and when

    def create(self, client: Client) -> str:
        """Make the service and return its id. The client's time limit is that of the launch.

        If the name is taken, wait until the holder has settled: if two supervisors launch the same
        job at once, one of them has to learn that it runs, and not that it may run.
        Raises `NameTaken`, with the holder.
        """
        self._deadline = time.monotonic() + float(client.timeout)
        try:
            return self._create(client)
        except EngineFailed:
            raise  # the service may have been made
        except (NameTaken, EngineRefused):
            self._remove_secret(client)
            raise

    def _create(self, client: Client) -> str:
        headers = login_for(self._spec.image).headers
        vanished, secret_id = 0, ""
        while True:
            try:
                if self._spec.secret and not secret_id:
                    secret_id = self._ask(client).create_secret(self._spec)
                return self._ask(client).create(self._spec, headers, secret_id)
            except NameTaken as taken:
                holder = self._ask(client).named(self._spec.name)
                if holder is not None and self._is_ours(holder):
                    return holder.ID
                vanished += holder is None
                if holder is not None and self._has_settled(client, holder):
                    raise NameTaken(taken.message, holder.ID) from None
                if vanished > _TRIES:
                    raise
            except SLOW:
                if self._left <= 0:
                    raise
            self._pause(client, _NAME_LOOK)

    def follow(self, client: Client, service_id: str) -> str:
        """Return the node once the program has begun. If it cannot begin, remove the service."""
        try:
            task = self._follow(client, service_id)
            if task is not None:
                self._confirm(client, service_id)
        except EngineUnavailable:
            raise  # it may run, and the next try finds it
        except EngineError:
            self._undo(client, service_id)
            raise
        return self._node(client, task)

    def _follow(self, client: Client, service_id: str) -> Task | None:
        """The task that has begun; None if another supervisor has killed the job."""
        while True:
            try:
                tasks = self._look(client, service_id)
                if any(NOWHERE in task.constraints for task in tasks):
                    return None
                self._task = chief(tasks) if tasks else None
                if self._task and self._runs(client, service_id, self._task):
                    return self._task
            except NoSuchWorkload:
                return None
            except SLOW:
                pass

    def _look(self, client: Client, service_id: str) -> Sequence[Task]:
        self._pause(client, 0)  # raises if no time is left
        return self._looks.tasks_of(
            service_id,
            pause=lambda: self._pause(client, _LOOK),  # also before the first: none runs at once
            ask=lambda services: self._ask(client).tasks_of(*services),
            within=min(_LOOK + _CALL, self._left),
        )

    def _runs(self, client: Client, service_id: str, task: Task) -> bool:
        """Whether its program has begun. Raises an error if it never will."""
        if has_begun(task):
            return True
        if lacks_image(task):
            self._try_elsewhere(client, service_id, task)
        elif task.state in (TaskState.REJECTED, TaskState.FAILED):
            raise refused(self._spec.name, task, self._node(client, task), self._spec.redact)
        elif has_ended(task) or is_ending(task):
            raise EngineFailed(
                f"the {SWARM_TITLE} has taken {self._spec.name} from its node before it ran"
            )
        else:
            self._check_room(task)
        return False

    def _confirm(self, client: Client, service_id: str) -> None:
        """Raise `EngineRefused` if the program cannot be run."""
        with suppress(NoSuchWorkload, *SLOW):
            self._beginnings.confirm(
                self._spec,
                lambda: task_of(self._ask(client), service_id),
                lambda lines: last_output(self._ask(client), service_id, lines) or "",
            )

    def _try_elsewhere(self, client: Client, service_id: str, task: Task) -> None:
        """Exclude a node that lacks the image. Without a registry, only some nodes may have it."""
        self._refusals[task.NodeID] = task.Status.Err
        if task.NodeID not in self._excluded:
            self._ask(client).avoid(service_id, [task.NodeID])
            self._excluded.add(task.NodeID)  # only now: if it hangs, it is repeated

    def _check_room(self, task: Task) -> None:
        """Raise `NoRoom` or `ImageMissing` if the task has waited too long for a node."""
        if not waits_for_node(task):
            self._waits_since = None
            return
        now = time.monotonic()
        self._waits_since = self._waits_since or now
        if self._refusals and "scheduling constraints" in task.Status.Err:
            raise image_missing(self._spec.image, "; ".join(self._refusals.values()))
        limit = _PLACEMENT_WITHOUT_NODES if no_node_is_there(task) else _PLACEMENT
        if now - self._waits_since >= limit:
            raise no_room(self._spec.name, task)

    def _undo(self, client: Client, service_id: str) -> None:
        """Remove the service. If its task may run, only stop it: the name has to stay taken.

        The caller then abandons the launch, and the service is removed after its task has ended.
        """
        client.timeout = _FOR_REMOVAL  # type: ignore[assignment]  # fractions are fine
        manager = Manager(client)
        try:
            if any(may_run(task) for task in manager.tasks_of(service_id)):
                manager.stop(service_id)
            else:
                manager.remove(service_id)
                self._remove_secret(client)
        except NoSuchWorkload:
            pass
        except (EngineError, OSError, requests.exceptions.RequestException) as error:
            log.warning("container.left_behind", container_id=service_id, error=str(error))

    def _remove_secret(self, client: Client) -> None:
        """Remove the secret, as there is no service. If that fails, `LeftSecrets` finds it."""
        if self._spec.secret is not None:
            client.timeout = _FOR_REMOVAL  # type: ignore[assignment]  # fractions are fine
            remove_if_possible(Manager(client), self._spec.secret.name)

    def _is_ours(self, holder: Service) -> bool:
        """Whether an earlier try of this launch has made it: its labels have our launch id."""
        return self._spec.labels.items() <= holder.labels.items() and bool(self._spec.labels)

    def _has_settled(self, client: Client, holder: Service) -> bool:
        """Whether the holder of the name runs, or its supervisor is gone.

        A supervisor soon removes a service that has ended, or tries it on another node.
        """
        try:
            tasks = self._ask(client).tasks_of(holder.ID)
        except NoSuchWorkload:
            return False
        running = any(task.state is TaskState.RUNNING for task in tasks)
        if running and not being_stopped(tasks):
            return True
        if running or not any(has_ended(task) for task in tasks):
            return False
        return self._is_left_alone(holder.ID)

    def _is_left_alone(self, service_id: str) -> bool:
        """Whether it ended so long ago that its supervisor must be gone."""
        now = time.monotonic()
        if self._ended_since is None or self._ended_since[0] != service_id:
            self._ended_since = service_id, now
        return now - self._ended_since[1] >= _REMOVAL_BY_OTHERS

    @property
    def _left(self) -> float:
        return self._deadline - _FOR_REMOVAL - time.monotonic()

    def _ask(self, client: Client) -> Manager:
        """The manager, for one call within the time that is left."""
        client.timeout = min(_CALL, max(self._left, 0.1))  # type: ignore[assignment]
        return Manager(client)

    def _pause(self, client: Client, seconds: float) -> None:
        if self._left <= 0:
            raise too_slow(self._spec.name, self._task, self._node(client, self._task))
        time.sleep(min(seconds, max(self._left, 0.0)))

    def _node(self, client: Client, task: Task | None) -> str:
        return self._nodes.name(self._ask(client), task) if task else ""
