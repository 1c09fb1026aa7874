"""Failures on demand: what a call to the fake Engine meets before, or after, it is carried out."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Literal

from service.errors import EngineError

Operation = Literal[
    "ping",
    "deep ping",
    "create",
    "start",
    "stop",
    "remove",
    "set aside",
    "rename",
    "pull",
    "download",
    "inspect",
    "traits",
    "offers",
    "tail",
    "logs",
    "stats",
    "list",
    "names",
    "watch",
]


class Hold:
    """A call that hangs from the moment it is `reached` until it is let go."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._released = asyncio.Event()
        self._error: EngineError | None = None

    async def reached(self) -> None:
        """Wait for the call to arrive here."""
        await self._reached.wait()

    def release(self) -> None:
        """Let it go on."""
        self._released.set()

    def refuse(self, error: EngineError) -> None:
        """Let it end with an error."""
        self._error = error
        self._released.set()

    async def stay(self) -> None:
        """What the held call does."""
        self._reached.set()
        await self._released.wait()
        if self._error is not None:
            raise self._error


class Faults:
    """One queue for each operation and stage; every call takes at most one fault from each.

    A fault with `after` strikes when the thing is done and only the answer is missing, which is
    how an Engine that dies or hangs leaves its callers in doubt.
    """

    def __init__(self) -> None:
        # Called with the seconds of each fault when a call meets it.
        self.on_strike: Callable[[float], None] = lambda _: None
        self._queues: defaultdict[tuple[Operation, bool], deque[Callable[[], Awaitable[None]]]] = (
            defaultdict(deque)
        )

    def fail(
        self, operation: Operation, error: EngineError, *, after: bool = False, times: int = 1
    ) -> None:
        """Make the next calls of an operation raise."""

        async def strike() -> None:
            self.on_strike(0.0)
            raise error

        self._queues[operation, after].extend([strike] * times)

    def hold(self, operation: Operation, *, after: bool = False) -> Hold:
        """Make the next call of an operation hang until it is let go."""
        hold = Hold()
        self._queues[operation, after].append(hold.stay)
        return hold

    def delay(self, operation: Operation, seconds: float, *, after: bool = False) -> None:
        """Make the next call of an operation take longer."""

        async def strike() -> None:
            self.on_strike(seconds)
            await asyncio.sleep(seconds)

        self._queues[operation, after].append(strike)

    def clear(self) -> None:
        """Forget the faults that no call has met. What hangs already hangs on."""
        self._queues.clear()

    async def meet(self, operation: Operation, *, after: bool) -> None:
        """Suffer the next fault of this stage, if there is one."""
        if queue := self._queues[operation, after]:
            await queue.popleft()()
