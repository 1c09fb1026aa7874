"""Threads for calls that block: a bounded number of them, the warmest first."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from time import monotonic
from typing import Any, Generic, TypeVar

from service.errors import EngineTimeout, EngineUnavailable
from service.support.process_limits import NO_MORE_THREADS, room_for_threads

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Work(Generic[T]):
    function: Callable[[], T]
    taken: Callable[[], None]  # told once a thread has it
    done: asyncio.Future[T]


# Of one thread; None ends it.
_Inbox = SimpleQueue[_Work[Any] | None]


class Threads:
    """At most `most` threads, to which an event loop hands one piece of work after the other.

    The one that was busy last is the next, whose client and connection are still in the processor's
    caches. All bookkeeping is the event loop's. `concurrent.futures` needs locks for its own, and
    its one queue for all wakes two threads for each piece of work (docs/benchmarks.md).
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._started = 0
        self._idle: list[_Inbox] = []
        # What ends something that has begun goes before what begins something new.
        self._waiting: tuple[deque[_Work[Any]], deque[_Work[Any]]] = (deque(), deque())
        self._answered = monotonic()
        self._closed = False

    @property
    def busy(self) -> int:
        """The threads that have something to do."""
        return self._started - len(self._idle)

    @property
    def queued(self) -> int:
        """The pieces of work that wait for a thread."""
        return sum(map(len, self._waiting))

    async def run(
        self,
        function: Callable[[], T],
        *,
        taken: Callable[[], None] = lambda: None,
        last: bool = False,
    ) -> T:
        """Run a function in a thread, with `last` after all that waits without it.

        `taken` is called as soon as a thread has it. Given up while it waits for one, it never
        runs; later, it is left to itself. Raises TimeoutError if `give_up` gives it up, and
        `EngineUnavailable` where there is no thread, and there may be none.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        work, line = _Work(function, taken, done), self._waiting[last]
        line.append(work)
        try:
            self._hand_out()
            return await done
        except BaseException:
            with suppress(ValueError):
                line.remove(work)
            raise

    def begin(self) -> None:
        """Start the first thread, before others have taken all that there may be."""
        if self._started == 0 and (inbox := self._free()):
            self._idle.append(inbox)

    def give_up(self, *, since: float) -> None:
        """Give up what waits, if since then (`monotonic`) all that was done has run out of time."""
        if self._answered < since:
            self._refuse(TimeoutError())

    def close(self) -> None:
        """End the threads, each when it has nothing to do, and cancel what waits for one."""
        self._closed = True
        for line in self._waiting:
            while line:
                line.popleft().done.cancel()
        while self._idle:
            self._idle.pop().put(None)
            self._started -= 1

    def _hand_out(self) -> None:
        while (line := self._waiting[0] or self._waiting[1]) and (inbox := self._free()):
            work = line.popleft()
            if work.done.done():  # given up just now
                self._idle.append(inbox)
                continue
            work.taken()
            inbox.put(work)

    def _free(self) -> _Inbox | None:
        if self._idle:
            return self._idle.pop()
        if self._started == self._most or (self._started and not room_for_threads()):
            return None
        inbox: _Inbox = SimpleQueue()
        thread = threading.Thread(
            target=self._serve,
            args=(inbox, asyncio.get_running_loop()),
            name=f"{self._name}_{self._started + 1}",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:  # the work waits for the threads that are there
            if self._started == 0:
                self._refuse(EngineUnavailable(NO_MORE_THREADS))
            return None
        self._started += 1
        return inbox

    def _refuse(self, error: Exception) -> None:
        """Raise it for all that waits."""
        for line in self._waiting:
            while line:
                work = line.popleft()
                if not work.done.done():
                    work.done.set_exception(error)

    def _serve(self, inbox: _Inbox, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: do what comes, and tell the event loop, until that is closed."""
        with suppress(RuntimeError):
            while work := inbox.get():
                loop.call_soon_threadsafe(self._finish, inbox, work, *_outcome(work.function))
                del work  # or what it holds would live until the next

    def _finish(
        self, inbox: _Inbox, work: _Work[Any], result: Any, error: BaseException | None
    ) -> None:
        self._idle.append(inbox)
        if not isinstance(error, EngineTimeout):
            self._answered = monotonic()
        if not work.done.done():
            if error is None:
                work.done.set_result(result)
            else:
                work.done.set_exception(error)
        if self._closed:
            self.close()
        self._hand_out()


def _outcome(function: Callable[[], T]) -> tuple[T, None] | tuple[None, BaseException]:
    try:
        return function(), None
    except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
        return None, error
