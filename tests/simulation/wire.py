"""Stand-ins for gRPC and for the threads that talk to the Engine."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from service.engine.capabilities import Capabilities
from tests.simulation.engine import BULK_THREADS, SimulatedEngine

_BULK = frozenset({"inspect", "remove", "set_aside", "tail"})
_CHANGES = frozenset({"start", "start_successor", "stop", "remove", "set_aside"})


class Aborted(Exception):
    """A call was ended with a status of gRPC."""


class Context:
    """What the servicer needs of a gRPC call."""

    def __init__(self, key: str | None = None) -> None:
        self._metadata = () if key is None else (("idempotency-key", key),)

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return self._metadata

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, str]]) -> None:
        """Nobody reads it here."""

    async def abort(self, code: object, details: str) -> NoReturn:
        raise Aborted(f"{code}: {details}")


class Wire:
    """The process's connection to the Engine. Once it is cut, the process does nothing any more.

    Some calls take up one of a few threads. Their time limits do not count the wait for one.
    """

    def __init__(self, engine: SimulatedEngine) -> None:
        self.cut = False
        self.changed: list[str] = []  # what it has asked for that changes a container
        self._engine = engine
        self._threads = asyncio.Semaphore(BULK_THREADS)

    def __getattr__(self, name: str) -> Any:
        if self.cut:
            raise asyncio.CancelledError
        method = getattr(self._engine, name)
        return partial(self._call, name, method) if name in _BULK | _CHANGES else method

    @property
    def capabilities(self) -> Capabilities:
        """Those of the engine; their calls come this way as well."""
        return replace(self._engine.capabilities, set_aside=self.set_aside, pull=self.pull)

    async def _call(
        self, name: str, method: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any
    ) -> Any:
        if name in _CHANGES:
            self.changed.append(name)
        if name not in _BULK:
            return await method(*arguments, **options)
        async with self._threads:
            return await method(*arguments, **options)
