"""Whether requests can count on the Engine, and how long they wait for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from observability.spans import waiting
from service.errors import Draining, EngineUnavailable
from service.support.retry import GAP_PATIENCE

T = TypeVar("T")

# How long a request waits (seconds): for the first listing after the start, and for an Engine
# that has just gone away. The backend takes any error for fatal, so a short gap is bridged.
START_PATIENCE = 30.0


class Readiness:
    """Ready while the Engine answers and the registry is in step with it."""

    def __init__(self, engine_title: str) -> None:
        self.listed = False  # whether there is a last known state at all
        self.draining = False
        self.hopeless = False  # only a new start of the process can make it ready again
        self.reason = f"the {engine_title} has not answered yet"
        self.in_step = False  # the registry with the Engine
        self._settled = asyncio.Event()  # ready, or draining: nothing to wait for
        self._unready = asyncio.Event()  # away, or draining
        self._unready.set()
        self._listeners: list[Callable[[bool], None]] = []

    @property
    def ready(self) -> bool:
        """Whether new work is welcome."""
        return self.in_step and not self.draining

    def subscribe(self, listener: Callable[[bool], None]) -> None:
        """Call the listener whenever `ready` may have changed."""
        self._listeners.append(listener)

    def rise(self) -> None:
        """The registry is in step with the Engine."""
        self.in_step = self.listed = True
        self.hopeless = False
        self._tell("ready")

    def fall(self, reason: str, *, for_good: bool = False) -> None:
        """The registry is not known to be in step any more; `for_good`: and it will not be."""
        self.in_step = False
        self.hopeless = for_good
        self._tell(reason)

    def drain(self) -> None:
        """The process is stopping, for good."""
        self.draining = True
        self._tell("")

    async def wait(self) -> None:
        """Wait until ready. Raises `EngineUnavailable` or `Draining`."""
        await self._wait(GAP_PATIENCE if self.listed else START_PATIENCE)

    async def wait_listed(self) -> None:
        """Wait until there is a known state. Raises `EngineUnavailable` or `Draining`."""
        if not self.listed:
            await self._wait(START_PATIENCE)

    async def wait_for_engine(self) -> None:
        """Wait for an Engine that is away. Where it is there, a stop of ours does not matter.

        Raises `EngineUnavailable` or `Draining`.
        """
        if not self.in_step:
            await self._wait(GAP_PATIENCE)

    async def when_ready(
        self, work: Callable[[], Coroutine[Any, Any, T]], *, undo: Callable[[], None] | None = None
    ) -> T:
        """Do what may have to wait, while the Engine is there; begin anew once it is back.

        `undo` takes back what was done in the very moment in which the caller gave up.
        Raises `EngineUnavailable` or `Draining`.
        """
        while True:
            with waiting("engine"):
                await self.wait()
            doing = asyncio.ensure_future(work())
            fallen = asyncio.ensure_future(self._unready.wait())
            try:
                await asyncio.wait((doing, fallen), return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                if not doing.cancel() and undo is not None:
                    undo()
                raise
            finally:
                fallen.cancel()
            if not doing.cancel():  # it is done
                return doing.result()

    async def _wait(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                await self._settled.wait()
        except TimeoutError:
            raise EngineUnavailable(f"{self.reason}; waited {patience:g} s for it") from None
        if self.draining:
            raise Draining("the supervisor is stopping and launches nothing new")

    def _tell(self, reason: str) -> None:
        self.reason = "the supervisor is stopping" if self.draining else reason
        _turn(self._settled, on=self.ready or self.draining)
        _turn(self._unready, on=not self.ready)
        for listener in self._listeners:
            listener(self.ready)


def _turn(event: asyncio.Event, *, on: bool) -> None:
    if on:
        event.set()
    else:
        event.clear()
