"""What has been said of containers that somebody is about to look at."""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH
from typing import Generic, TypeVar

from service.engine.base import Exit

T = TypeVar("T")

# How long after a signal an exit may be its doing (seconds). `docker stop` waits for ten.
_FRESH = 60.0
# How long after a failed kill a signal may still be one of its own (seconds): an Engine that hangs
# carries out what it was asked when it goes on.
_LATE = 600.0
# What ends no process by itself. Clients that are attached pass some of these on.
_HARMLESS = frozenset({SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH})


@dataclass(frozen=True, slots=True)
class Hint:
    """What is said to have happened to a container, and whether anybody saw it happen.

    `witnessed` is False where there was no event and a comparison has found it out, and where the
    Engine was going away.
    """

    exit_code: int | None = None
    witnessed: bool = False
    oom_killed: bool = False
    waited: bool = False  # for what the Engine tells late
    stopped: Exit | None = None  # how a kill has ended it, as the Engine told: no look is needed
    signal: int | None = None  # that others have sent before an exit; 0 where it is not known

    def and_then(self, later: "Hint") -> "Hint":
        """Both in one, where nobody has looked in between."""
        return Hint(
            self.exit_code if later.exit_code is None else later.exit_code,
            self.witnessed or later.witnessed,
            self.oom_killed or later.oom_killed,
            self.waited or later.waited,
            later.stopped or self.stopped,
            self.signal if later.signal is None else later.signal,
        )


class Hints:
    """The hints that nobody has followed yet, in one for each launch."""

    def __init__(self) -> None:
        self._hints: dict[str, Hint] = {}
        self._awaited: dict[str, asyncio.Event] = {}

    def add(self, launch_id: str, hint: Hint) -> None:
        """Keep a hint, and wake up who waits for it."""
        self._hints[launch_id] = self._hints.get(launch_id, Hint()).and_then(hint)
        if awaited := self._awaited.get(launch_id):
            awaited.set()

    def put_back(self, launch_id: str, known: Hint) -> None:
        """Keep what is known already, as said before all that has come meanwhile."""
        self._hints[launch_id] = known.and_then(self._hints.get(launch_id, Hint()))

    def take(self, launch_id: str) -> Hint | None:
        """All that has been said since the last time."""
        return self._hints.pop(launch_id, None)

    def __contains__(self, launch_id: str) -> bool:
        """Whether something has been said."""
        return launch_id in self._hints

    async def wait(self, launch_id: str, seconds: float) -> None:
        """Wait until something has been said of a launch, but not for longer than that.

        One at a time for each launch.
        """
        if launch_id in self._hints:
            return
        awaited = self._awaited[launch_id] = asyncio.Event()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await awaited.wait()
        finally:
            del self._awaited[launch_id]


class Recent(Generic[T]):
    """What was noted in the last so many seconds: the latest value for each key."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._noted: OrderedDict[str, tuple[T, float]] = OrderedDict()  # and when; oldest first

    def __len__(self) -> int:
        """How many there are, some of which may be too old by now."""
        return len(self._noted)

    def note(self, key: str, value: T) -> None:
        """Remember a value from now on."""
        self._noted[key] = value, _now()
        self._noted.move_to_end(key)
        while not self._is_fresh(next(iter(self._noted.values()))[1]):
            self._noted.popitem(last=False)

    def get(self, key: str) -> T | None:
        """The last value; None if there was none lately."""
        value, at = self._noted.get(key, (None, 0.0))
        return value if value is not None and self._is_fresh(at) else None

    def forget(self, key: str) -> None:
        """Drop the value of a key."""
        self._noted.pop(key, None)

    def _is_fresh(self, at: float) -> bool:
        return _now() - at < self._seconds


class Signals:
    """The signals that others have sent to containers: an exit that follows soon is their doing."""

    def __init__(self) -> None:
        self._sent: Recent[int] = Recent(_FRESH)
        self._failed_kills: Recent[bool] = Recent(_LATE)

    def note(self, workload_id: str, number: int) -> None:
        """Remember a signal; 0 where nobody can tell which it was."""
        if number not in _HARMLESS and not self._failed_kills.get(workload_id):
            self._sent.note(workload_id, number)

    def note_failed_kill(self, workload_id: str) -> None:
        """A kill of ours has failed: what it has sent may still arrive, and is nobody else's."""
        self._failed_kills.note(workload_id, value=True)

    def before_exit(self, workload_id: str) -> int | None:
        """The signal that a container has just ended with, which has then done its work."""
        signal = self.lately(workload_id)
        self._sent.forget(workload_id)
        return signal

    def lately(self, workload_id: str) -> int | None:
        """The last signal that a container has got; None if it has got none lately."""
        return self._sent.get(workload_id)


def _now() -> float:
    return asyncio.get_running_loop().time()
