"""Workloads as an engine describes them: in a listing, an inspection, at a start and an exit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """The state of a workload."""

    CREATED = "created"
    LIVE = "live"  # running, paused or restarting
    EXITED = "exited"
    REMOVING = "removing"
    UNKNOWN = "unknown"  # its entry in the listing cannot be read


class Health(StrEnum):
    """What the health check of a workload says."""

    UNKNOWN = "unknown"  # it has none, or the engine does not say
    STARTING = "starting"  # no probe has succeeded yet, nor enough of them failed
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Probe(NamedTuple):
    """The last probe of a health check: its exit code, and its output, which may hold secrets."""

    exit_code: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A workload in a listing."""

    id: str
    name: str
    status: Status
    labels: Mapping[str, str]
    created_at: float
    paused: bool = False
    network_of: str = ""  # the id of the workload whose network it shares
    node: str = ""  # the machine that it runs on, if the engine has several
    aside: bool = False  # it could not be removed, and was renamed to free its name
    replaced: bool = False  # it has ended, and its successor has its name
    stopping: bool = False  # a supervisor is stopping it, if the engine says so
    health: Health = Health.UNKNOWN
    image: str = ""  # as it was named for its launch, if the listing has it
    image_digest: str = ""  # likewise, see `Inspection`


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The details of a workload. Its arguments and environment hold secrets: not in the repr.

    The environment has lines NAME=VALUE. `log_options` are the values of its log driver's options.

    `exit_code` is None if the engine does not know it, as for a workload on a lost machine.
    """

    id: str
    status: Status
    labels: Mapping[str, str]
    exit_code: int | None
    oom_killed: bool
    name: str = ""
    image: str = ""  # as it was named for its launch
    image_digest: str = ""  # such as `sha256:…`; empty if the engine does not say it
    created_at: float = 0.0
    started_at: float
    ended_at: float | None
    arguments: Sequence[str] = field(repr=False)
    environment: Sequence[str] = field(default=(), repr=False)
    log_driver: str = ""  # its name, if the engine says it
    log_options: Sequence[str] = field(default=(), repr=False)
    paused: bool = False
    aside: bool = False  # see `Workload`
    replaced: bool = False  # likewise
    stopping: bool = False  # likewise
    health: Health = Health.UNKNOWN
    probe: Probe | None = field(default=None, repr=False)
    node: str = ""  # likewise
    # Whether the engine has seen the exit when it happened, and reports it even after a gap.
    witnessed: bool = False


class Begun(NamedTuple):
    """A workload that was started, and the machine that it runs on, if the engine has several."""

    id: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """The exit of a workload, as the engine reports it. `at` is seconds since the epoch."""

    code: int
    at: float


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The workload that this process runs in, if known. If it is `unclear`, it may be any."""

    own: Workload | None = None
    unclear: bool = False
