"""Whether requests can count on the Engine, and how long they wait for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from service.errors import Draining, EngineUnavailable

T = TypeVar("T")

# How long a request waits (seconds): for the first listing after the start, and for an Engine
# that has just gone away. The backend takes any error for fatal, so a short gap is bridged.
START_PATIENCE = 30.0
GAP_PATIENCE = 5.0


class Readiness:
    """Ready while the Engine answers and the registry is in step with it."""

    def __init__(self) -> None:
        self.listed = False  # whether there is a last known state at all
        self.draining = False
        self.reason = "the Docker Engine has not answered yet"
        self._in_step = False
        self._settled = asyncio.Event()  # ready, or draining: nothing to wait for
        self._drained = asyncio.Event()
        self._listeners: list[Callable[[bool], None]] = []

    @property
    def ready(self) -> bool:
        """Whether new work is welcome."""
        return self._in_step and not self.draining

    def subscribe(self, listener: Callable[[bool], None]) -> None:
        """Call the listener whenever `ready` may have changed."""
        self._listeners.append(listener)

    def rise(self) -> None:
        """The registry is in step with the Engine."""
        self._in_step = self.listed = True
        self._tell("ready")

    def fall(self, reason: str) -> None:
        """The registry is not known to be in step any more."""
        self._in_step = False
        self._tell(reason)

    def drain(self) -> None:
        """The process is stopping, for good."""
        self.draining = True
        self._drained.set()
        self._tell("")

    async def wait(self) -> None:
        """Wait until ready. Raises `EngineUnavailable` or `Draining`."""
        await self._wait(GAP_PATIENCE if self.listed else START_PATIENCE)

    async def wait_listed(self) -> None:
        """Wait until there is a known state. Raises `EngineUnavailable` or `Draining`."""
        if not self.listed:
            await self._wait(START_PATIENCE)

    async def unless_draining(
        self, work: Coroutine[Any, Any, T], *, undo: Callable[[], None] | None = None
    ) -> T:
        """Do what may have to wait, unless the process stops meanwhile. Raises `Draining`.

        `undo` takes back what was done in the very moment in which the caller gave up.
        """
        doing = asyncio.ensure_future(work)
        drained = asyncio.ensure_future(self._drained.wait())
        try:
            await asyncio.wait((doing, drained), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if not doing.cancel() and undo is not None:
                undo()
            raise
        finally:
            drained.cancel()
        if doing.cancel():  # it waits still
            raise _draining()
        return doing.result()

    async def _wait(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                await self._settled.wait()
        except TimeoutError:
            raise EngineUnavailable(f"{self.reason}; waited {patience:g} s for it") from None
        if self.draining:
            raise _draining()

    def _tell(self, reason: str) -> None:
        self.reason = "the supervisor is stopping" if self.draining else reason
        if self.ready or self.draining:
            self._settled.set()
        else:
            self._settled.clear()
        for listener in self._listeners:
            listener(self.ready)


def _draining() -> Draining:
    return Draining("the supervisor is stopping and launches nothing new")
