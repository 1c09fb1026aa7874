"""What some engines can do, and others cannot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class PullProgress(NamedTuple):
    """How far a pull is. The sizes (bytes) are of the layers that are known by now."""

    layers: int
    layers_done: int
    size: int
    size_done: int


class Pull(Protocol):
    """Pulls an image from its registry."""

    async def __call__(
        self, image: str, platform: str, note: Callable[[PullProgress], None]
    ) -> None:
        """Pull it. This may take hours; it has no time limit, and may be cancelled at any time.

        `note` is called often, and in a thread. Raises ImageMissing, RegistryDenied,
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
    reports_lack_of_memory_within: float | None = None
    # Whether `watch` reads from a connection, which may silently hang. Otherwise it polls.
    streams_events: bool = False
    # Whether `start_successor` starts the same workload again, so that no predecessor can be left.
    successor_keeps_id: bool = False
    # None if one supervisor of an instance may use it at a time.
    find_others: FindOthers | None = None

    @property
    def shared(self) -> bool:
        """Whether several supervisors of one instance may use it side by side."""
        return self.find_others is not None
