"""What the Engine says of one container, most of all in an inspection."""

from typing import Annotated

from pydantic import Field

from service.engine.docker.names import has_ended, is_aside
from service.engine.docker.parsed_fields import MaybeLabels, NotEmpty, digest, status, timestamp
from service.engine.docker.parsing import Answer, read
from service.engine.workloads import Health, Inspection, Probe

HEALTH = {
    "starting": Health.STARTING,
    "healthy": Health.HEALTHY,
    "unhealthy": Health.UNHEALTHY,
}
# On Windows, exit codes are unsigned 32-bit numbers.
_Code = Annotated[int, Field(ge=-(2**31), lt=2**32)]


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
    Labels: MaybeLabels = None
    Entrypoint: list[str] | None = None
    Cmd: list[str] | None = None
    Env: list[str] | None = None
    User: str = ""
    StopSignal: str | None = None
    Healthcheck: _Healthcheck | None = None

    @property
    def has_healthcheck(self) -> bool:
        """Whether it has a command that checks its health."""
        test = self.Healthcheck.Test if self.Healthcheck else None
        return bool(test) and test != ["NONE"]


class _LogConfig(Answer):
    Type: str = ""
    Config: dict[str, str] | None = None


class _InspectedHost(Answer):
    LogConfig: _LogConfig | None = None


class Inspected(Answer):
    """An inspection."""

    Id: NotEmpty
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


class Holder(Answer):
    """A container that was looked up by name."""

    Id: NotEmpty
    Name: str


class Created(Answer):
    """A container that has just been created."""

    Id: NotEmpty
    Warnings: list[str] | None = None


class Processes(Answer):
    """The processes of a container: a row for each."""

    Processes: list[Annotated[list[str], Field(min_length=1)]] | None = None


def inspection(answer: object) -> Inspection:
    """The inspection of a container. Raises `Unreadable`."""
    found = read(Inspected, answer)
    state, config = found.State, found.Config
    return Inspection(
        id=found.Id,
        status=status(state.Status),
        labels=config.Labels or {},
        exit_code=state.ExitCode,
        oom_killed=state.OOMKilled,
        name=found.Name.removeprefix("/"),
        image=config.Image,
        image_digest=digest(found.Image),
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
        replaced=has_ended(found.Name, found.Id),
    )


def _health(state: _State) -> Health:
    """What the health check says.

    Docker calls a container unhealthy as soon as it is paused, and after that until the next probe.
    """
    if state.Health is None or state.Paused:
        return Health.UNKNOWN
    health = HEALTH.get(state.Health.Status, Health.UNKNOWN)
    probe = _last_probe(state.Health)
    if health is Health.UNHEALTHY and probe is None:
        return Health.STARTING
    if health is Health.UNHEALTHY and probe and probe.exit_code == 0:
        return Health.HEALTHY
    return health


def _last_probe(health: _Health | None) -> Probe | None:
    probes = (health and health.Log) or ()
    return Probe(probes[-1].ExitCode, probes[-1].Output) if probes else None
