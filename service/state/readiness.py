"""Whether the engine is there and the registry in step with it, and how long requests wait."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from observability.spans import wait_span
from service.errors import Draining, EngineUnavailable
from service.support.retry import GAP_SECONDS

T = TypeVar("T")

# How long a request waits after the start for the first listing (seconds).
START_SECONDS = 30.0


class Readiness:
    """Ready while the engine answers, the registry is in step with it, and the process stays."""

    def __init__(self, engine_title: str) -> None:
        self.listed = False  # whether there has been a listing at all
        self.draining = False
        self.needs_restart = False  # only a new process can become ready
        self.reason = f"the {engine_title} has not answered yet"
        self.in_step = False  # the registry with the engine
        self._settled = asyncio.Event()  # ready or draining: there is nothing to wait for
        self._unready = asyncio.Event()  # not in step, or draining
        self._unready.set()
        self._listeners: list[Callable[[bool], None]] = []

    @property
    def ready(self) -> bool:
        """Whether new work is accepted."""
        return self.in_step and not self.draining

    def subscribe(self, listener: Callable[[bool], None]) -> None:
        """Call the listener whenever `ready` may have changed."""
        self._listeners.append(listener)

    def set_in_step(self) -> None:
        """The registry is in step with the engine."""
        self.in_step = self.listed = True
        self.needs_restart = False
        self._update("ready")

    def set_away(self, reason: str, *, for_good: bool = False) -> None:
        """The engine is away; `for_good` if this process will not reach it again."""
        self.in_step = False
        self.needs_restart = for_good
        self._update(reason)

    def drain(self) -> None:
        """The process is stopping."""
        self.draining = True
        self._update("")

    async def wait(self) -> None:
        """Wait until ready. Raises `EngineUnavailable` or `Draining`."""
        await self._wait(GAP_SECONDS if self.listed else START_SECONDS)

    async def wait_listed(self) -> None:
        """Wait for the first listing. Raises `EngineUnavailable` or `Draining`."""
        if not self.listed:
            await self._wait(START_SECONDS)

    async def wait_for_engine(self) -> None:
        """Wait for an engine that is away. If it is there, draining does not matter.

        Raises `EngineUnavailable` or `Draining`.
        """
        if not self.in_step:
            await self._wait(GAP_SECONDS)

    async def when_ready(
        self, work: Callable[[], Coroutine[Any, Any, T]], *, undo: Callable[[], None] | None = None
    ) -> T:
        """Do the work once ready. If the engine goes away, cancel it and begin anew later.

        `undo` is called if the work is done at the moment when the caller is cancelled. Raises
        `EngineUnavailable` or `Draining`.
        """
        while True:
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

    async def _wait(self, seconds: float) -> None:
        if not self._settled.is_set():
            await self._wait_until_settled(seconds)
        if self.draining:
            raise Draining("the supervisor is stopping and launches nothing new")

    async def _wait_until_settled(self, seconds: float) -> None:
        try:
            with wait_span("engine"):
                async with asyncio.timeout(seconds):
                    await self._settled.wait()
        except TimeoutError:
            raise EngineUnavailable(f"{self.reason}; waited {seconds:g} s for it") from None

    def _update(self, reason: str) -> None:
        self.reason = "the supervisor is stopping" if self.draining else reason
        _switch(self._settled, on=self.ready or self.draining)
        _switch(self._unready, on=not self.ready)
        for listener in self._listeners:
            listener(self.ready)


def _switch(event: asyncio.Event, *, on: bool) -> None:
    if on:
        event.set()
    else:
        event.clear()
