"""The steps of a simulation as data, which can be replayed, shortened, and kept as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from tests.fake_engine.faults import Operation

Wrong: TypeAlias = Literal["blank", "nul", "reserved", "unknown", "large", "blank key"]
HandWork: TypeAlias = Literal[
    "exit",
    "kill",
    "signal",
    "remove",
    "rm",
    "restart",
    "pause",
    "unpause",
    "start",
    "rename",
    "oom",
    "late oom",
    "heal",
    "sicken",
]
Failure: TypeAlias = Literal["refused", "faltered", "timeout", "unavailable"]
NewsTrouble: TypeAlias = Literal["late", "lost", "twice", "shuffled", "cut"]
Obstacle: TypeAlias = Literal["program", "network"]
Absence: TypeAlias = Literal["hang", "stop", "crash", "live-restore", "wipe"]


@dataclass(frozen=True, slots=True)
class Launch:
    """A LaunchJob. Its client hangs up after so many seconds."""

    name: str
    identifier: str
    params: Mapping[str, int] = field(default_factory=dict)
    key: str = ""
    hang_up: float | None = None


@dataclass(frozen=True, slots=True)
class Mistake:
    """A LaunchJob that has to be refused."""

    what: Wrong


@dataclass(frozen=True, slots=True)
class Kill:
    """A KillJob. Its client hangs up after so many seconds."""

    identifier: str
    hang_up: float | None = None


@dataclass(frozen=True, slots=True)
class KillAll:
    """A KillAllJobs."""


@dataclass(frozen=True, slots=True)
class ListAll:
    """A ListJobs."""


@dataclass(frozen=True, slots=True)
class Cordon:
    """An operator has new launches refused, for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hand:
    """What a process or a third party does with one of our containers."""

    what: HandWork
    choice: float
    code: int = 0


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody else's container takes the name of a job's, for so many seconds."""

    identifier: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Fault:
    """The next calls of an operation fail, before or after the Engine has carried them out."""

    operation: Operation
    failure: Failure
    after: bool = False
    times: int = 1


@dataclass(frozen=True, slots=True)
class Slow:
    """The next call of an operation takes so many seconds longer."""

    operation: Operation
    seconds: float
    after: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """The event stream is cut, or for so many seconds in trouble."""

    what: NewsTrouble
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Odd:
    """For so many seconds, some of the Engine's answers cannot be read."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stuck:
    """The Engine lists one of our containers, and answers nothing about it for so many seconds."""

    choice: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Unrunnable:
    """The program of the jobs cannot be run, or their network is missing, for so many seconds."""

    what: Obstacle
    seconds: float


@dataclass(frozen=True, slots=True)
class Forget:
    """Somebody removes an image that can be pulled again."""

    image: str


@dataclass(frozen=True, slots=True)
class Unpublished:
    """The registry has none of the images, for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Away:
    """The Engine hangs, or goes away and comes back after so many seconds.

    A stop and a crash take the containers along, a wipe removes them; live-restore keeps them.
    """

    what: Absence
    seconds: float


@dataclass(frozen=True, slots=True)
class Restart:
    """The supervisor ends, and starts again after so many seconds."""

    graceful: bool
    seconds: float
    adopt: bool
    tight: bool = False  # with room for few launches and few jobs
    changes_mode: bool = False  # from development to production, or the other way round


@dataclass(frozen=True, slots=True)
class Rival:
    """The container of another supervisor of this instance runs for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Later:
    """So many seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Quiet:
    """Everything is repaired, and has to come right."""


Act: TypeAlias = (
    Launch | Mistake | Kill | KillAll | ListAll | Cordon | Hand | Stranger
    | Fault | Slow | News | Odd | Stuck | Unrunnable | Forget | Unpublished
    | Away | Restart | Rival | Later | Quiet
)  # fmt: skip
Request: TypeAlias = Launch | Mistake | Kill | KillAll | ListAll

_KINDS: Mapping[str, Any] = {kind.__name__: kind for kind in get_args(Act)}


@dataclass(frozen=True, slots=True)
class Step:
    """An act, and how many seconds pass after it. With 0 the event loop turns once."""

    act: Act
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Episode:
    """A life of the supervisor, or several, from an empty Engine on.

    `seed` decides what the steps leave open: how long each call takes, and all jitter.
    """

    seed: str
    development: bool
    adopt: bool
    steps: Sequence[Step]


def to_json(episode: Episode) -> dict[str, Any]:
    """An episode as plain values."""
    steps = [{"do": type(s.act).__name__, **asdict(s.act), "wait": s.wait} for s in episode.steps]
    return {
        "seed": episode.seed,
        "development": episode.development,
        "adopt": episode.adopt,
        "steps": steps,
    }


def from_json(values: Mapping[str, Any]) -> Episode:
    """The other way round."""
    return Episode(**{**values, "steps": [_step(**each) for each in values["steps"]]})


def _step(do: str, wait: float, **fields: Any) -> Step:
    return Step(_KINDS[do](**fields), wait)
