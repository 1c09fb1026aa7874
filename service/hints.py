"""What has been said of containers that somebody is about to look at."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from service.engine.base import Exit


@dataclass(frozen=True, slots=True)
class Hint:
    """What is said to have happened to a container, and whether anybody saw it happen."""

    exit_code: int | None = None
    witnessed: bool = False
    oom_killed: bool = False
    waited: bool = False  # for what the Engine tells late
    stopped: Exit | None = None  # by a kill, which knows how

    def and_then(self, later: "Hint") -> "Hint":
        """Both in one, where nobody has looked in between."""
        return Hint(
            self.exit_code if later.exit_code is None else later.exit_code,
            self.witnessed or later.witnessed,
            self.oom_killed or later.oom_killed,
            self.waited or later.waited,
            later.stopped or self.stopped,
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
