"""The fields of a manager's answers that are used here.

An answer that does not fit is `Unreadable`, as in `engine/docker/parsing.py`.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import cached_property
from typing import Annotated

from pydantic import BeforeValidator

from service.engine.docker.parsed_fields import NotEmpty, timestamp
from service.engine.docker.parsing import Answer
from service.engine.swarm.templates import plain

_NO_LOG = "none"


class TaskState(IntEnum):
    """The states of a task, in SwarmKit's order (api/types.proto). A task never goes back.

    Up to `READY` nothing of it has run. `REMOVE` is only ever desired.
    """

    NEW = 0
    ALLOCATED = 64
    PENDING = 128
    ASSIGNED = 192
    ACCEPTED = 256
    PREPARING = 320
    READY = 384
    STARTING = 448
    RUNNING = 512
    COMPLETE = 576
    SHUTDOWN = 640
    FAILED = 704
    REJECTED = 768
    REMOVE = 800
    ORPHANED = 832


def _state(state: object) -> object:
    if not isinstance(state, str) or state.upper() not in TaskState.__members__:
        raise ValueError("the state is not known")
    return TaskState[state.upper()]


_State = Annotated[TaskState, BeforeValidator(_state)]


class _SecretReference(Answer):
    SecretName: str = ""


class _ContainerSpec(Answer):
    Image: str = ""
    Labels: dict[str, str] | None = None
    Args: list[str] | None = None
    Env: list[str] | None = None
    StopGracePeriod: int | None = None  # nanoseconds
    Secrets: list[_SecretReference] | None = None

    @property
    def environment(self) -> Sequence[str]:
        """The variables as the program gets them, as NAME=VALUE."""
        return tuple(map(plain, self.Env or ()))

    @property
    def secrets(self) -> Sequence[str]:
        """The names of the secrets that it gets as files."""
        return [each.SecretName for each in self.Secrets or ()]


class _Placement(Answer):
    Constraints: list[str] | None = None


class _Driver(Answer):
    Name: str = ""
    Options: dict[str, str] | None = None


class _TaskSpec(Answer):
    ContainerSpec: _ContainerSpec = _ContainerSpec()
    Placement: _Placement = _Placement()
    LogDriver: _Driver | None = None

    @property
    def log_driver(self) -> str:
        """The name of its log driver; empty for the default of its node."""
        return self.LogDriver.Name if self.LogDriver else ""

    @property
    def keeps_no_log(self) -> bool:
        """Whether its output is not kept. With any other driver, Docker keeps a copy."""
        return self.log_driver == _NO_LOG

    @property
    def log_options(self) -> Sequence[str]:
        """The values of its log driver's options."""
        options = self.LogDriver.Options if self.LogDriver else None
        return tuple((options or {}).values())


class _ContainerStatus(Answer):
    ContainerID: str = ""
    ExitCode: int = 0


class _Status(Answer):
    Timestamp: str
    State: _State
    Err: str = ""
    ContainerStatus: _ContainerStatus | None = None


class Task(Answer):
    """A task: one run of a service's container on one node."""

    ID: NotEmpty
    CreatedAt: str
    ServiceID: str = ""
    NodeID: str = ""
    Spec: _TaskSpec
    Status: _Status
    DesiredState: _State

    @property
    def state(self) -> TaskState:
        """The state that its node has reported last."""
        return self.Status.State

    @property
    def runs(self) -> bool:
        """Whether its node has reported that it runs, and Swarm lets it go on."""
        return self.state is TaskState.RUNNING and self.DesiredState < TaskState.SHUTDOWN

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its container."""
        return self.Spec.ContainerSpec.Labels or {}

    @property
    def image(self) -> str:
        return self.Spec.ContainerSpec.Image

    @property
    def arguments(self) -> Sequence[str]:
        """The arguments of its container, which contain secrets."""
        return tuple(self.Spec.ContainerSpec.Args or ())

    @property
    def constraints(self) -> Sequence[str]:
        return self.Spec.Placement.Constraints or ()

    @property
    def grace(self) -> float:
        """From SIGTERM to SIGKILL (seconds)."""
        return (self.Spec.ContainerSpec.StopGracePeriod or 0) / 1e9

    @property
    def container(self) -> str:
        """The id of its container; empty before there is one."""
        status = self.Status.ContainerStatus
        return status.ContainerID if status else ""

    @cached_property
    def created_at(self) -> float:
        """Seconds since the epoch."""
        return seconds(self.CreatedAt)

    @property
    def since(self) -> float:
        """When it entered its state (seconds since the epoch)."""
        return seconds(self.Status.Timestamp)


class _Replicated(Answer):
    Replicas: int = 0


class _Mode(Answer):
    Replicated: _Replicated | None = None


class _ServiceSpec(Answer):
    Name: str
    Mode: _Mode = _Mode()
    Labels: dict[str, str] | None = None
    TaskTemplate: _TaskSpec = _TaskSpec()


class Service(Answer):
    """A service: what Swarm has to run, under a name that is unique in the Swarm."""

    ID: NotEmpty
    CreatedAt: str
    Spec: _ServiceSpec

    @property
    def name(self) -> str:
        return self.Spec.Name

    @property
    def keeps_no_log(self) -> bool:
        return self.Spec.TaskTemplate.keeps_no_log

    @property
    def wanted(self) -> int:
        """How many tasks Swarm runs for it; 1 for services of another mode than ours."""
        return self.Spec.Mode.Replicated.Replicas if self.Spec.Mode.Replicated else 1

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels, which its containers have, too."""
        return self.Spec.Labels or {}

    @property
    def created_at(self) -> float:
        """Seconds since the epoch."""
        return seconds(self.CreatedAt)


class _SecretSpec(Answer):
    Name: str


class Secret(Answer):
    """A secret. A manager does not return its content."""

    ID: NotEmpty
    Spec: _SecretSpec


class _NodeStatus(Answer):
    State: str


class _NodeDescription(Answer):
    Hostname: str = ""


class Node(Answer):
    """A machine of the Swarm."""

    ID: NotEmpty
    Status: _NodeStatus
    Description: _NodeDescription = _NodeDescription()


class _Swarm(Answer):
    NodeID: str = ""
    LocalNodeState: str = "inactive"
    ControlAvailable: bool = False
    Error: str = ""


class Info(Answer):
    """What an engine reports about itself."""

    LiveRestoreEnabled: bool = False
    Swarm: _Swarm = _Swarm()


def seconds(text: str) -> float:
    """A time as seconds since the epoch, 0 for none. Raises `Unreadable`."""
    return timestamp(text) or 0.0
