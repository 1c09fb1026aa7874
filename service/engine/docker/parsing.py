"""Parses what the Engine answers: the fields, and the workloads, inspections and events in it.

An Engine, or a proxy in front of it, may answer anything. An answer of another shape is
`Unreadable`: the text says where, and shows no value, because that may be a secret.
"""

import re
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.engine.base import (
    Change,
    Event,
    Health,
    Inspection,
    Offers,
    Probe,
    Status,
    Trait,
    Workload,
)
from service.engine.docker.names import is_aside

STATUS = {
    "created": Status.CREATED,
    "initialized": Status.CREATED,  # Podman's
    "running": Status.LIVE,
    "paused": Status.LIVE,
    "restarting": Status.LIVE,
    "stopping": Status.LIVE,  # Podman's
    "removing": Status.REMOVING,
    "exited": Status.EXITED,
    "stopped": Status.EXITED,  # Podman's
    "dead": Status.EXITED,
}
CHANGES = {
    "create": Change.CREATED,
    "start": Change.STARTED,
    "kill": Change.SIGNALLED,
    "die": Change.EXITED,
    "oom": Change.OUT_OF_MEMORY,
    "destroy": Change.REMOVED,
    "remove": Change.REMOVED,  # Podman's
    "pause": Change.PAUSED,
    "unpause": Change.UNPAUSED,
    "health_status: healthy": Change.HEALTHY,
    "health_status: unhealthy": Change.UNHEALTHY,
}
HEALTH = {
    "starting": Health.STARTING,
    "healthy": Health.HEALTHY,
    "unhealthy": Health.UNHEALTHY,
}
_TRAITS = {"name=rootless": Trait.ROOTLESS, "name=userns": Trait.USERNS_REMAP}
# How a list shows them, at the end of `Status`.
_LISTED_HEALTH = {
    "(health: starting)": Health.STARTING,
    "(healthy)": Health.HEALTHY,
    "(unhealthy)": Health.UNHEALTHY,
}
# After these, a name may stand for another image. Each Engine and each way to build has its own.
IMAGE_ACTIONS = (
    *("tag", "untag", "pull", "load", "import", "delete"),
    *("build", "loadfromarchive", "commit"),  # Podman's; the last is about a container
)
# Raised by docker-py, and by our own code, if an answer has another shape.
MISREAD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_LONGEST_NUMBER = 10  # digits
_DIGEST = re.compile("sha256:[0-9a-f]{64}")

# Docker 23 and later find a shim of containerd by its name.
_SHIMS = "io.containerd."

_Labels = dict[str, str] | None
# On Windows, exit codes are unsigned 32-bit numbers.
_Code = Annotated[int, Field(ge=-(2**31), lt=2**32)]
_Id = Annotated[str, Field(min_length=1)]


class Unreadable(ValueError):
    """An answer of an unexpected shape."""


class Answer(BaseModel):
    """A part of an answer. Other fields are ignored."""

    model_config = ConfigDict(strict=True)


class Version(Answer):
    """The Engine's version."""

    ApiVersion: str
    Components: Any = None

    @property
    def is_podmans(self) -> bool:
        """Whether this is Podman. Docker's first component is called `Engine`."""
        return "Podman Engine" in str(self.Components)


class _Plugins(Answer):
    Log: list[str] | None = None


class About(Answer):
    """What the Engine says of itself."""

    LoggingDriver: str = ""
    Runtimes: dict[str, Any] | None = None
    Plugins: _Plugins | None = None


class _Amount(Answer):
    current: int = 0
    total: int = 0


class _Detail(Answer):
    message: str = ""


class PullNews(Answer):
    """A line of the answer to a pull."""

    status: str = ""
    id: str = ""
    amount: _Amount | None = Field(default=None, alias="progressDetail")
    error: str = ""
    detail: _Detail | None = Field(default=None, alias="errorDetail")

    @property
    def current(self) -> int:
        """How many bytes of the layer are there."""
        return self.amount.current if self.amount else 0

    @property
    def total(self) -> int:
        """How many it has."""
        return self.amount.total if self.amount else 0

    @property
    def fault(self) -> str:
        """Why the pull has failed, or ""."""
        return (self.detail.message if self.detail else "") or self.error


class Created(Answer):
    """A container that has just been created."""

    Id: _Id
    Warnings: list[str] | None = None


class _HostConfig(Answer):
    NetworkMode: str | None = None


class Holder(Answer):
    """A container that was looked up by name."""

    Id: _Id
    Name: str


class Listed(Answer):
    """A container in a list."""

    Id: _Id
    Names: list[str] | None = None
    Labels: _Labels = None
    State: str
    Created: float
    Status: str | None = None
    ImageID: str = ""
    HostConfig: _HostConfig | None = None


class ListedNames(Answer):
    """The names of a container in a list."""

    Names: list[str] | None = None


class ForeignContainer(Answer):
    """A container in a list that is not the supervisor's."""

    Id: _Id
    Names: list[str] | None = None
    Labels: _Labels = None
    Image: str
    Status: str


class _Volume(Answer):
    Name: _Id


class ListedVolumes(Answer):
    """The volumes that were asked for."""

    Volumes: list[_Volume] | None = None


class Processes(Answer):
    """The processes of a container: a row for each."""

    Processes: list[Annotated[list[str], Field(min_length=1)]] | None = None


class _Probed(Answer):
    ExitCode: int = 0
    Output: str = ""


class _Health(Answer):
    Status: str = ""
    Log: list[_Probed] | None = None


class _Healthcheck(Answer):
    Test: list[str] | None = None


class _State(Answer):
    Status: str
    Paused: bool
    OOMKilled: bool
    ExitCode: _Code
    StartedAt: str
    FinishedAt: str
    Health: _Health | None = None


class _Config(Answer):
    Image: str = ""
    Labels: _Labels = None
    Entrypoint: list[str] | None = None
    Cmd: list[str] | None = None
    Env: list[str] | None = None
    User: str = ""
    StopSignal: str | None = None
    Healthcheck: _Healthcheck | None = None

    @property
    def has_healthcheck(self) -> bool:
        """Whether there is a command that tells whether it is healthy."""
        test = self.Healthcheck.Test if self.Healthcheck else None
        return bool(test) and test != ["NONE"]


class _LogConfig(Answer):
    Type: str = ""
    Config: dict[str, str] | None = None


class _InspectedHost(Answer):
    LogConfig: _LogConfig | None = None


class Inspected(Answer):
    """An inspection."""

    Id: _Id
    Name: str = ""
    Image: str = ""
    Created: str = ""
    State: _State
    Config: _Config
    HostConfig: _InspectedHost | None = None

    @property
    def log_driver(self) -> str:
        """The name of its log driver."""
        log = self.HostConfig and self.HostConfig.LogConfig
        return log.Type if log else ""

    @property
    def log_options(self) -> dict[str, str]:
        """The options of its log driver."""
        log = self.HostConfig and self.HostConfig.LogConfig
        return (log and log.Config) or {}


class _Actor(Answer):
    ID: _Id
    Attributes: _Labels = None


class _Event(Answer):
    Action: str = ""
    Actor: _Actor | None = None


A = TypeVar("A", bound=Answer)


def read(kind: type[A], answer: object) -> A:
    """Validate an answer, or a part of one. Raises `Unreadable`."""
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        raise Unreadable(_fault(error)) from None


def read_list(answer: object) -> list[Any]:
    """A list of any items. Raises `Unreadable`."""
    if not isinstance(answer, list):
        raise Unreadable("it is not a list")
    return answer


def workload(item: object) -> Workload:
    """An item of a list, as a workload. Raises `Unreadable`."""
    found = read(Listed, item)
    name = (found.Names or ["/"])[0].removeprefix("/")
    return Workload(
        id=found.Id,
        name=name,
        aside=is_aside(name, found.Id),
        status=_status(found.State),
        labels=found.Labels or {},
        created_at=found.Created,
        paused=found.State == "paused",
        network_of=_network_of(found.HostConfig),
        image_digest=_digest(found.ImageID),
        health=_listed_health(found.Status or ""),
    )


def inspection(answer: object) -> Inspection:
    """The inspection of a container. Raises `Unreadable`."""
    found = read(Inspected, answer)
    state, config = found.State, found.Config
    return Inspection(
        id=found.Id,
        status=_status(state.Status),
        labels=config.Labels or {},
        exit_code=state.ExitCode,
        oom_killed=state.OOMKilled,
        name=found.Name.removeprefix("/"),
        image=config.Image,
        image_digest=_digest(found.Image),
        created_at=(timestamp(found.Created) if found.Created else None) or 0.0,
        started_at=timestamp(state.StartedAt) or 0.0,
        ended_at=timestamp(state.FinishedAt),
        arguments=tuple(config.Cmd or ()),
        environment=tuple(config.Env or ()),
        log_driver=found.log_driver,
        log_options=tuple(found.log_options.values()),
        paused=state.Paused,
        health=_health(state),
        probe=_last_probe(state.Health),
        aside=is_aside(found.Name, found.Id),
    )


def _digest(image_id: str) -> str:
    """The digest that an image has as its id; empty for anything else."""
    digest = image_id if image_id.startswith("sha256:") else f"sha256:{image_id}"
    return digest if _DIGEST.fullmatch(digest) else ""


def offers(answer: object) -> Offers:
    """What the Engine has for containers that ask for it. Raises `Unreadable`."""
    about = read(About, answer)
    drivers = about.Plugins and about.Plugins.Log
    return Offers(
        runtimes=None if about.Runtimes is None else frozenset(about.Runtimes),
        more_runtimes=(_SHIMS,),
        # A plugin may be named with and without `latest`, and `none` is no driver to list.
        log_drivers=frozenset({"none", *map(_without_tag, drivers)}) if drivers else None,
    )


def traits(info: dict[str, Any]) -> frozenset[Trait]:
    """The traits among the security options, such as `name=seccomp,profile=default`."""
    options = info.get("SecurityOptions")
    names = {str(o).split(",")[0] for o in options} if isinstance(options, list) else set()
    return frozenset(trait for name, trait in _TRAITS.items() if name in names)


def _without_tag(driver: str) -> str:
    return driver.removesuffix(":latest")


def changes_images(answer: object) -> bool:
    """Whether an event is about a change of images."""
    if not isinstance(answer, dict):
        return False
    return answer.get("Type") == "image" or answer.get("Action") == "commit"


def event(answer: object) -> Event | None:
    """The event of a container, or None if it is of no interest. Raises `Unreadable`."""
    found = read(_Event, answer)
    change = CHANGES.get(found.Action)
    if change is None:
        return None
    if found.Actor is None:
        raise Unreadable("Actor: is missing")
    labels = found.Actor.Attributes or {}
    code = _number(labels.get("exitCode", "")) if change is Change.EXITED else None
    signal = _number(labels.get("signal", "")) or 0 if change is Change.SIGNALLED else None
    return Event(id=found.Actor.ID, change=change, labels=labels, exit_code=code, signal=signal)


def _network_of(host: _HostConfig | None) -> str:
    """The id of the container whose network it shares, from `container:ID`."""
    kind, _, container_id = ((host and host.NetworkMode) or "").partition(":")
    return container_id if kind == "container" else ""


def _listed_health(status: str) -> Health:
    """The health in a text such as `Up 5 minutes (healthy)`."""
    found = (health for words, health in _LISTED_HEALTH.items() if status.endswith(words))
    return next(found, Health.UNTOLD)


def _health(state: _State) -> Health:
    """What the health check says.

    Docker calls a container unhealthy as soon as it is paused, and after that until the next probe.
    """
    if state.Health is None or state.Paused:
        return Health.UNTOLD
    health = HEALTH.get(state.Health.Status, Health.UNTOLD)
    probe = _last_probe(state.Health)
    if health is Health.UNHEALTHY and probe is None:
        return Health.STARTING
    if health is Health.UNHEALTHY and probe and probe.exit_code == 0:
        return Health.HEALTHY
    return health


def _last_probe(health: _Health | None) -> Probe | None:
    probes = (health and health.Log) or ()
    return Probe(probes[-1].ExitCode, probes[-1].Output) if probes else None


def _status(state: str) -> Status:
    if state not in STATUS:
        raise Unreadable("the state is unknown")
    return STATUS[state]


def _number(text: str) -> int | None:
    """A number, or None. A label with an attribute's name hides it, and may have any value."""
    return int(text) if text.isdecimal() and len(text) <= _LONGEST_NUMBER else None


def timestamp(text: str) -> float | None:
    """Seconds since the epoch; None for the Engine's zero time. Raises `Unreadable`."""
    if text.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ArithmeticError, ValueError):
        raise Unreadable("a time is invalid") from None


def _fault(error: ValidationError) -> str:
    """The first fault. Keys of labels are left out, because anybody may set labels."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = [str(part) for part in first["loc"][:2]]
    return f"{'.'.join(where) or 'all of it'}: {first['msg']}"
