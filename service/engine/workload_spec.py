"""The description of a workload that an engine is to run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from observability.redaction.redactor import Redactor


class PullPolicy(StrEnum):
    """When the engine pulls an image from its registry."""

    NEVER = "never"
    MISSING = "missing"  # if the engine does not have it
    ALWAYS = "always"  # before each launch


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Where the image of a workload comes from.

    `platform` is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, and "" for that of the machine.
    """

    pull: PullPolicy = PullPolicy.NEVER
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A limit of each process (setrlimit(2)): -1 is none."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a workload: None is the engine's default. Sizes are in bytes, `cpus` in cores.

    `memory_reservation` is what it is left with when the machine runs short of memory.
    """

    memory: int | None = None
    memory_reservation: int | None = None
    cpus: float | None = None
    pids: int | None = None
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """A folder in memory. `size` is in bytes; None is the engine's default."""

    path: str
    size: int | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a workload may do. `user` is "" for that of its image, and capabilities lack CAP_.

    `no_new_privileges` is None if nobody has asked for it: it is on, as far as the engine can.
    """

    user: str = ""
    read_only: bool = False
    cap_drop: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    no_new_privileges: bool | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the engine, by its name, or a folder of its host, by its path."""

    source: str
    path: str
    read_only: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of the host."""
        return self.source.startswith("/")


@dataclass(frozen=True, slots=True)
class Log:
    """Where the output goes; "" is the driver of the engine. The options may hold secrets."""

    driver: str = ""
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Gpus:
    """How many GPUs, or which ones. -1 is all of them."""

    count: int = 0
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a workload finds around itself; "" and None are the defaults of engine and image.

    `extra_hosts` has names with their addresses.
    """

    working_dir: str = ""
    extra_hosts: tuple[tuple[str, str], ...] = ()
    dns: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    log: Log | None = None
    runtime: str = ""
    gpus: Gpus | None = None


# The path of every `SecretFile`, and its folder. Nothing else is in it.
AUTH_FOLDER = "/run/area-auth"
AUTH_FILE = f"{AUTH_FOLDER}/auth.json"


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file, `AUTH_FILE`, that only the workload's user can read, and that goes with it.

    `name` is unique on the engine.
    """

    name: str
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """How an engine finds out whether a workload is healthy. Times are seconds.

    What is None, or an empty `command`, is that of the image; or else the engine's default.
    """

    command: tuple[str, ...] = ()
    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None
    required: bool = False  # whether a workload without one is refused


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """A workload to run.

    `arguments` and `environment` hold secrets: they and `redact` stay out of the repr.
    """

    name: str
    image: str
    arguments: Sequence[str] = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = "host"
    limits: Limits = field(default_factory=Limits)
    # Constraints of the machines that it may run on, if the engine has several.
    placement: Sequence[str] = ()
    # From `stop_signal` to SIGKILL (seconds), for an engine that has to know that at the start.
    stop_grace: float = 10.0
    stop_signal: str = "SIGTERM"
    init: bool = True  # whether an init of the engine's is its first process
    confinement: Confinement = field(default_factory=Confinement)
    surroundings: Surroundings = field(default_factory=Surroundings)
    healthcheck: Healthcheck = field(default_factory=Healthcheck)
    secret: SecretFile | None = None
    source: ImageSource = field(default_factory=ImageSource)
    redact: Redactor = field(default_factory=Redactor, repr=False)
