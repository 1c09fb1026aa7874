"""The interface that the adapter of every engine implements, and the types of its data.

An adapter implements it for one engine. Everything above uses only this interface.

- Any method may raise the `EngineError`s of `service.errors`. After `EngineUnavailable`,
  `EngineTimeout` and `EngineFailed` it is unknown whether the engine has carried out the call.
- All times are seconds.
- An adapter limits the number of concurrent calls. A call that waits for its turn does not use up
  its time limit. It fails only if the engine answers no call at all.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

from observability.redaction.redactor import Redactor
from service.engine.name_grammar import NameGrammar
from service.engine.output import Printed, Usage
from service.engine.workload_spec import WorkloadSpec

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
    "stats",
    "events",
    "top",
    "info",
    "rename",
    "upload",
    "download",
    "pull",
]
"""The names of an engine's calls, in metrics and spans."""


class Status(StrEnum):
    """The state of a workload."""

    CREATED = "created"
    LIVE = "live"  # running, paused or restarting
    EXITED = "exited"
    REMOVING = "removing"
    UNKNOWN = "unknown"  # its entry in the listing cannot be read


class Health(StrEnum):
    """What the health check of a workload says."""

    UNTOLD = "untold"  # it has none, or the engine does not tell
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
    stopping: bool = False  # a supervisor is stopping it, as far as the engine tells that
    health: Health = Health.UNTOLD
    image: str = ""  # as it was named for its launch, if the listing tells
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
    image_digest: str = ""  # what that was, such as `sha256:…`; empty if the engine does not tell
    created_at: float = 0.0
    started_at: float
    ended_at: float | None
    arguments: Sequence[str] = field(repr=False)
    environment: Sequence[str] = field(default=(), repr=False)
    log_driver: str = ""  # its name, if the engine tells it
    log_options: Sequence[str] = field(default=(), repr=False)
    paused: bool = False
    aside: bool = False  # see `Workload`
    stopping: bool = False  # likewise
    health: Health = Health.UNTOLD
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
class Listing:
    """All our workloads. `Engine.watch` yields it first."""

    workloads: Sequence[Workload]


class Change(StrEnum):
    """The kind of an event."""

    CREATED = "created"
    STARTED = "started"
    SIGNALLED = "signalled"  # through the engine, which also signals for a stop or forced removal
    STOPPING = "stopping"  # by a supervisor, if several may use the engine
    EXITED = "exited"
    OUT_OF_MEMORY = "out of memory"  # comes before the exit, or shortly after it
    REMOVED = "removed"
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    HEALTHY = "healthy"  # by its health check
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A hint that a workload has changed. `exit_code` is set if the engine reports it.

    `signal` is the number of the signal that was sent to the workload, or 0 if the engine does not
    report it. `witnessed` is False if the event follows from the difference between two listings:
    the engine may have been away in between, and may have ended the workload itself.
    `ran` is about a removal: the workload still ran then, so that no supervisor has removed it.
    """

    id: str
    change: Change
    labels: Mapping[str, str]
    exit_code: int | None = None
    signal: int | None = None
    witnessed: bool = True
    ran: bool = False


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The workload that this process runs in, if known. If it is `unclear`, it may be any."""

    own: Workload | None = None
    unclear: bool = False


class Trait(StrEnum):
    """A configuration of an engine that affects its workloads."""

    ROOTLESS = "rootless"
    USERNS_REMAP = "userns"
    GAINS_PRIVILEGES = "gains privileges"  # `no_new_privileges` has no effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What an engine has for workloads that ask for it, by name; None if it does not tell."""

    runtimes: frozenset[str] | None = None
    # How the names of further runtimes begin, which it may have without listing them.
    more_runtimes: tuple[str, ...] = ()
    log_drivers: frozenset[str] | None = None


class PullProgress(NamedTuple):
    """How far a pull is. The sizes (bytes) are of the layers that are known by now."""

    layers: int
    layers_done: int
    size: int
    size_done: int


class Pull(Protocol):
    """Pulls an image from its registry."""

    async def __call__(
        self, image: str, platform: str, tell: Callable[[PullProgress], None]
    ) -> None:
        """Pull it. This may take hours; it has no time limit, and may be cancelled at any time.

        `tell` is called often, and in a thread. Raises ImageMissing, RegistryDenied,
        RegistryLimited, RegistryAway, and the other `EngineError`s.
        """


class SetAside(Protocol):
    """Frees the name of a workload that cannot be removed."""

    async def __call__(self, workload_id: str) -> str:
        """Rename the workload, and return its new name: the old one with a part of the id.

        A second call changes nothing. Raises NoSuchWorkload.
        """


class FindOthers(Protocol):
    """Finds other supervisors, if several may use the engine."""

    async def __call__(self, labels: Mapping[str, str]) -> Sequence[str]:
        """The names of all live workloads with these labels in which this process does not run."""


class ReadFile(Protocol):
    """Reads the `SecretFile` of a workload, which need not be live."""

    async def __call__(self, workload_id: str) -> str | None:
        """The content; None if it is not there any more. Raises NoSuchWorkload."""


class SweepFiles(Protocol):
    """Removes `SecretFile`s whose workload is gone, and that have not gone with it."""

    async def __call__(self, *, grace: float) -> int:
        """Remove those that have been found to be left since `grace`; how many (seconds).

        A file may be there before its workload.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The optional capabilities of an engine: None or False if it lacks one.

    If an engine does not report pauses or a lack of memory, its inspections contain neither.
    """

    # None if the engine does not pull images, or its machines do that by themselves.
    pull: Pull | None = None
    set_aside: SetAside | None = None
    read_file: ReadFile | None = None
    sweep_files: SweepFiles | None = None
    # How long after the exit it may report that the workload ran out of memory (seconds).
    tells_lack_of_memory_within: float | None = None
    # Whether `watch` reads from a connection, which may silently hang. Otherwise it polls.
    streams_events: bool = False
    # None if one supervisor of an instance may use it at a time.
    find_others: FindOthers | None = None

    @property
    def shared(self) -> bool:
        """Whether several supervisors of one instance may use it side by side."""
        return self.find_others is not None


class Engine(Protocol):
    """Runs workloads. Its methods may be called concurrently, for different workloads."""

    @property
    def title(self) -> str:
        """Its name in messages, such as `Docker Engine`."""

    @property
    def name_grammar(self) -> NameGrammar:
        """The allowed names of workloads."""

    @property
    def capabilities(self) -> Capabilities:
        """Its optional capabilities."""

    def whereabouts(self, workloads: Sequence[Workload]) -> Whereabouts:
        """Find the workload that this process runs in. Reads this host, and calls no engine."""

    async def ping(self, *, deep: bool = False) -> None:
        """Return if the engine answers within a few seconds.

        With `deep`, it also has to reach its own runtime of workloads, which may hang by itself.
        """

    async def leaving(self) -> bool:
        """Whether it is stopping, with its workloads: it accepts no new connection."""

    async def start(self, spec: WorkloadSpec, *, timeout: float) -> Begun:
        """Create and start a workload. Return when its program has begun.

        If the engine refuses to start it, if its program cannot be run, or if it lacks a health
        check that is `required`, the workload is removed again. A program that has begun is a
        success, whatever its exit code, and however soon.

        The timeout counts from the first call to the engine. Raises NameTaken, ImageMissing,
        NoRoom and EngineRefused. After EngineUnavailable, EngineTimeout and EngineFailed, a
        workload with these labels may exist, or may appear later.
        """

    async def start_successor(
        self,
        workload_id: str,
        labels: Mapping[str, str],
        *,
        allowed_folders: Sequence[str],
        redact: Redactor,
        timeout: float,
    ) -> Begun:
        """Start a workload like one that has exited, with its name, and with these labels as well.

        The exited one gives up its name, and stays. An engine may also start the same workload
        again, with its id. A second call, after one that may have been carried out, may find its
        name taken by the successor. What its folders of the host have to be within may have changed
        since its start.

        Raises NoSuchWorkload, and the errors of `start`; EngineRefused also if it has not exited.
        """

    async def stop(self, workload_id: str, *, grace: float) -> Exit | None:
        """Send its stop signal, and SIGKILL after the grace. Return when it has exited.

        An engine may use the grace of the `WorkloadSpec` instead. It is a success if the machine
        of the workload is lost.
        None means that the exit is not known, and that the caller has to inspect. Any number of
        stops may be under way: they take turns, and each grace counts from its own signal. It is
        a success if the workload does not run. Raises NoSuchWorkload.
        """

    async def remove(self, workload_id: str, *, force: bool = False) -> bool:
        """Remove a workload. Return when its name is free, or if it does not exist.

        False if somebody else has removed it. Without `force`, a live one is refused
        (EngineRefused).
        """

    async def inspect(self, workload_id: str, *, timeout: float = 10.0) -> Inspection:
        """The details of a workload. Raises NoSuchWorkload."""

    async def tail(self, workload_id: str, *, lines: int, edit: Callable[[str], str] = str) -> str:
        """The last lines of its output. `edit` may be called in a thread.

        Raises NoSuchWorkload, and EngineRefused with UNREADABLE_LOG.
        """

    def logs(
        self,
        workload_id: str,
        *,
        follow: bool = False,
        since: int = 0,
        tail: int | None = None,
    ) -> AsyncGenerator[Sequence[Printed], None]:
        """What it has printed, oldest first, and with `follow` what it prints from now on.

        `since` is in nanoseconds since the epoch; earlier lines may be among them. With `tail`,
        only so many of the last lines, or a few more. A caller that does not read on slows down
        nobody else.

        It ends when the workload has ended, or when the connection is lost, and then may raise an
        EngineError. Where the same workload may be started again it may go on.

        Raises NoSuchWorkload, and EngineRefused with UNREADABLE_LOG.
        """

    async def stats(
        self, workload_ids: Sequence[str], *, timeout: float
    ) -> Mapping[str, Usage | None]:
        """What live workloads use; None for one on a machine that cannot be asked.

        Those that it does not tell, or not within the time, are left out.
        """

    async def list(
        self, *, unless: Callable[[Workload], bool] = lambda _: False
    ) -> Sequence[Workload]:
        """All workloads with the label of this instance, live or not.

        Those for which `unless` is true are left out. It may be called in a thread, so that of
        100,000 workloads the event loop gets only the few that matter.
        """

    async def find(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        """All workloads with these labels, live or not, including those of others."""

    async def names(self) -> Sequence[str]:
        """All names that are taken on the engine, including those of others' workloads."""

    async def traits(self) -> frozenset[Trait]:
        """Its configuration, as far as it affects workloads."""

    async def offers(self) -> Offers:
        """What it has for workloads that ask for it."""

    def watch(self) -> AsyncGenerator[Listing | Event, None]:
        """Follow the engine: yield a Listing first, then Events, without a gap in between.

        An engine without events polls (`service.engine.polled_events`). When the connection is
        lost, this ends or raises an EngineError.
        """

    async def close(self) -> None:
        """Release threads and connections. Later calls raise EngineUnavailable."""
