"""Hints about workloads, which lead to an inspection, and signals that third parties have sent."""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH
from typing import Generic, TypeVar

from service.engine.workloads import Exit
from service.support.loop_time import loop_time

T = TypeVar("T")

# For how long after a signal it may be the cause of an exit (seconds). `docker stop` waits for ten.
_CAUSES_EXIT_WITHIN = 60.0
# For how long after a failed kill its signals may still arrive (seconds): an engine that hangs
# carries out its calls when it goes on.
_KILL_ARRIVES_WITHIN = 600.0
# These end no process by themselves. Clients that are attached pass some of them on.
_HARMLESS = frozenset({SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH})


@dataclass(frozen=True, slots=True)
class Hint:
    """News of a workload, from an event, a comparison or a kill.

    `witnessed` is False if a comparison has found the change without an event, or if the engine
    was going away: the cause of the exit is then unknown.
    """

    exit_code: int | None = None
    witnessed: bool = False
    oom_killed: bool = False
    waited: bool = False  # for an event about memory, which the engine may send late
    stopped: Exit | None = None  # the exit that a kill has caused: no inspection is needed
    signal: int | None = None  # sent by a third party before the exit; 0 if the number is unknown
    ran: bool = False  # it still ran when somebody removed it

    def merged_with(self, later: "Hint") -> "Hint":
        """One hint of two, if there was no inspection in between."""
        return Hint(
            self.exit_code if later.exit_code is None else later.exit_code,
            self.witnessed or later.witnessed,
            self.oom_killed or later.oom_killed,
            self.waited or later.waited,
            later.stopped or self.stopped,
            self.signal if later.signal is None else later.signal,
            self.ran or later.ran,
        )


class Hints:
    """The hints that have led to no inspection yet, merged into one for each job."""

    def __init__(self) -> None:
        self._hints: dict[str, Hint] = {}  # by launch id
        self._added: dict[str, asyncio.Event] = {}

    def add(self, launch_id: str, hint: Hint) -> None:
        """Keep a hint, and wake up `wait`."""
        self._hints[launch_id] = self._hints.get(launch_id, Hint()).merged_with(hint)
        if added := self._added.get(launch_id):
            added.set()

    def put_back(self, launch_id: str, known: Hint) -> None:
        """Keep a hint that is older than all that were added meanwhile."""
        self._hints[launch_id] = known.merged_with(self._hints.get(launch_id, Hint()))

    def take(self, launch_id: str) -> Hint | None:
        """Remove and return the hint of a job."""
        return self._hints.pop(launch_id, None)

    def __contains__(self, launch_id: str) -> bool:
        """Whether there is a hint for a job."""
        return launch_id in self._hints

    async def wait(self, launch_id: str, seconds: float) -> None:
        """Wait until there is a hint for a job, at most so long. One caller at a time for a job."""
        if launch_id in self._hints:
            return
        added = self._added[launch_id] = asyncio.Event()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await added.wait()
        finally:
            del self._added[launch_id]


class Recent(Generic[T]):
    """The latest value for each key, forgotten after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._noted: OrderedDict[str, tuple[T, float]] = OrderedDict()  # and when; oldest first

    def __len__(self) -> int:
        """How many values are kept, some of which may be too old by now."""
        return len(self._noted)

    def note(self, key: str, value: T) -> None:
        """Remember a value from now on."""
        self._noted[key] = value, loop_time()
        self._noted.move_to_end(key)
        while not self._is_fresh(next(iter(self._noted.values()))[1]):
            self._noted.popitem(last=False)

    def get(self, key: str) -> T | None:
        """The value of a key; None if there is none, or it is too old."""
        value, at = self._noted.get(key, (None, 0.0))
        return value if value is not None and self._is_fresh(at) else None

    def forget(self, key: str) -> None:
        """Remove the value of a key."""
        self._noted.pop(key, None)

    def _is_fresh(self, at: float) -> bool:
        return loop_time() - at < self._seconds


class Signals:
    """The signals that third parties have sent to workloads: an exit soon after is their doing."""

    def __init__(self) -> None:
        self._sent: Recent[int] = Recent(_CAUSES_EXIT_WITHIN)
        self._failed_kills: Recent[bool] = Recent(_KILL_ARRIVES_WITHIN)

    def note(self, workload_id: str, number: int) -> None:
        """Remember a signal; 0 if its number is unknown."""
        if number not in _HARMLESS and not self._failed_kills.get(workload_id):
            self._sent.note(workload_id, number)

    def note_failed_kill(self, workload_id: str) -> None:
        """A kill of ours has failed: its signals may still arrive, and are not a third party's."""
        self._failed_kills.note(workload_id, value=True)

    def take(self, workload_id: str) -> int | None:
        """The signal that an exited workload got last. It explains no later exit."""
        signal = self.get(workload_id)
        self._sent.forget(workload_id)
        return signal

    def get(self, workload_id: str) -> int | None:
        """The signal that a workload got last; None if that was long ago, or never."""
        return self._sent.get(workload_id)
