"""The interface between the supervisor and whatever runs its workloads, and its data.

An adapter knows one engine; everything above knows only this page. Any method may raise the
`EngineError`s of `service.errors`: `EngineUnavailable`, `EngineTimeout` and `EngineFaltered` leave
open whether the engine did what it was asked. All times are seconds. An adapter limits how many
calls its engine gets at once; a call that waits for its turn uses up none of its time limit, and
fails only if the engine answers nobody.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from observability.redaction.redactor import Redactor
from service.engine.names import NameGrammar

EngineCall = Literal[
    "ping",
    "create",
    "start",
    "stop",
    "kill",
    "remove",
    "inspect",
    "list",
    "logs",
    "events",
    "top",
    "info",
    "rename",
]
"""What an engine is asked, by the name that metrics and spans have for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a workload may use; None is no limit. `memory` is in bytes, `cpus` in cores."""

    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """What to run. `arguments` hold secrets: they and `redact` stay out of the repr."""

    name: str
    image: str
    arguments: Sequence[str] = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = "host"
    limits: Limits = field(default_factory=Limits)
    redact: Redactor = field(default_factory=Redactor, repr=False)


class Status(StrEnum):
    """The state of a workload, as far as the supervisor needs it."""

    CREATED = "created"
    LIVE = "live"  # running, paused or restarting
    EXITED = "exited"
    REMOVING = "removing"
    UNKNOWN = "unknown"  # listed in a way that cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A workload of ours as the engine listed it."""

    id: str
    name: str
    status: Status
    labels: Mapping[str, str]
    created_at: float
    paused: bool = False
    network_of: str = ""  # the id of the workload whose network it shares
    aside: bool = False  # it could not be removed, and has given up its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A workload looked at closely. Its arguments hold secrets, and stay out of the repr."""

    id: str
    status: Status
    labels: Mapping[str, str]
    exit_code: int
    oom_killed: bool
    started_at: float
    ended_at: float | None
    arguments: Sequence[str] = field(repr=False)
    paused: bool = False
    aside: bool = False  # as in a `Workload`


@dataclass(frozen=True, slots=True)
class Exit:
    """How a workload has exited, as the engine told. `at` is seconds since the epoch."""

    code: int
    at: float


@dataclass(frozen=True, slots=True)
class Listing:
    """Every workload of ours: the first thing that a new connection brings."""

    workloads: Sequence[Workload]


class Change(StrEnum):
    """What has happened, according to an event."""

    CREATED = "created"
    STARTED = "started"
    SIGNALLED = "signalled"  # through the engine, for a stop and a removal by force, too
    EXITED = "exited"
    OUT_OF_MEMORY = "out of memory"  # before the exit that it leads to, or shortly after it
    REMOVED = "removed"
    PAUSED = "paused"
    UNPAUSED = "unpaused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A hint that one workload has changed. `exit_code` only where the engine told it.

    `signal` is the number of the signal that it was sent, 0 where the engine does not tell that.
    `witnessed` is False if nobody saw it happen: the difference between two listings shows that it
    has. The engine may have been away in between, and may have ended the workload itself.
    """

    id: str
    change: Change
    labels: Mapping[str, str]
    exit_code: int | None = None
    signal: int | None = None
    witnessed: bool = True


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The workload that this process runs in, if that is known; `unclear` if it may be any."""

    own: Workload | None = None
    unclear: bool = False


class Trait(StrEnum):
    """A configuration of an engine that affects its workloads."""

    ROOTLESS = "rootless"
    USERNS_REMAP = "userns"


class Prepare(Protocol):
    """Fetches what a workload needs before it can start, such as its image."""

    async def __call__(self, spec: WorkloadSpec) -> None:
        """Return when everything is there. It may take minutes, and may be cancelled at any time.

        No time limit of the launch applies, and the launch takes up no place among the starts.
        Raises ImageMissing, and the other `EngineError`s.
        """


class SetAside(Protocol):
    """Frees the name of a workload that cannot be removed."""

    async def __call__(self, workload_id: str) -> str:
        """Rename the workload; the new name.

        The new name contains the old one and the id. A second call changes nothing. Raises
        NoSuchWorkload.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What some engines can do and others cannot: None, or False, if this one cannot.

    An engine that does not tell of pauses or of a lack of memory reports neither in its
    inspections.
    """

    prepare: Prepare | None = None
    set_aside: SetAside | None = None
    # Whether it tells that a workload ran out of memory: at most so long after the exit (seconds).
    tells_lack_of_memory_within: float | None = None
    # Whether `watch` reads a connection, which may go quiet without an end, and does not poll.
    streams_events: bool = False


class Engine(Protocol):
    """Runs workloads. Its methods may be called side by side, for different workloads."""

    @property
    def title(self) -> str:
        """What messages call it, such as `Docker Engine`."""

    @property
    def name_grammar(self) -> NameGrammar:
        """What its workloads may be called."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do that not every engine can."""

    def whereabouts(self, workloads: Sequence[Workload]) -> Whereabouts:
        """Which of these workloads this process runs in. Asks this host, and not the engine."""

    async def ping(self, *, deep: bool = False) -> None:
        """Return if the engine answers within a few seconds.

        With `deep` it has to ask what runs its workloads, which may hang by itself.
        """

    async def leaving(self) -> bool:
        """Whether it is stopping and takes its workloads along: it accepts no new connection."""

    async def start(self, spec: WorkloadSpec, *, timeout: float) -> str:
        """Create and start a workload; its id. Returns when its program has begun.

        What the engine refuses to start, or whose program cannot be run, is removed again. A
        program that has begun is a success, however soon and with whatever code it ends.

        The timeout counts from the first call to the engine. After EngineUnavailable,
        EngineTimeout and EngineFaltered a workload with these labels may exist, or still come to
        exist. Raises NameTaken, ImageMissing, EngineRefused, and these.
        """

    async def stop(self, workload_id: str, *, grace: float) -> Exit | None:
        """Send SIGTERM, after the grace SIGKILL; return when it has exited, and how.

        None where that is not known, and an inspect has to tell. Any number of stops may be under
        way: they take their turns with the engine, and each grace counts from its own SIGTERM.
        Raises NoSuchWorkload. A workload that does not run is a success.
        """

    async def remove(self, workload_id: str, *, force: bool = False) -> None:
        """Remove a workload; return when its name is free. One that is not there is a success.

        Without `force` a live one is refused (EngineRefused).
        """

    async def inspect(self, workload_id: str, *, timeout: float = 10.0) -> Inspection:
        """What the engine knows of one workload, within the timeout. Raises NoSuchWorkload."""

    async def tail(self, workload_id: str, *, lines: int, edit: Callable[[str], str] = str) -> str:
        """The last lines of its output, edited beside the event loop. Raises NoSuchWorkload."""

    async def list(
        self, *, unless: Callable[[Workload], bool] = lambda _: False
    ) -> Sequence[Workload]:
        """Every workload with the label of this instance, live or not.

        Those for which `unless` is true are left out. It is called for one after the other, maybe
        in a thread: of 100,000 workloads the event loop then gets the few that matter to it.
        """

    async def find(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        """Every workload with these labels, live or not, whether it is ours or not."""

    async def names(self) -> Sequence[str]:
        """Every name that is taken on the engine, also by workloads of others."""

    async def traits(self) -> frozenset[Trait]:
        """How it is configured."""

    def watch(self) -> AsyncGenerator[Listing | Event, None]:
        """Follow the engine over one connection: first a Listing, then Events, with no gap between.

        An engine without events polls (`service.engine.polling`). Ends, or raises an EngineError,
        when the connection is gone.
        """

    async def close(self) -> None:
        """Release threads and connections. Later calls raise EngineUnavailable."""
