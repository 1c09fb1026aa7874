"""A bounded pool of threads for blocking calls. The thread that was busy last is used first."""

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
    taken: Callable[[], None]  # called when a thread takes it
    done: asyncio.Future[T]


# The work of one thread. None ends the thread.
_Inbox = SimpleQueue[_Work[Any] | None]


class Threads:
    """At most `most` threads, to which an event loop passes work.

    The thread that was busy last comes first, because its client and connection are still in the
    processor's caches. Only the event loop does the bookkeeping. `concurrent.futures` needs locks
    for it, and its shared queue wakes two threads for each piece of work (docs/benchmarks.md).
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._started = 0
        self._idle: list[_Inbox] = []
        # Work with `last` is in the second: new stops wait for calls that complete earlier ones.
        self._waiting: tuple[deque[_Work[Any]], deque[_Work[Any]]] = (deque(), deque())
        self._answered = monotonic()
        self._closed = False

    @property
    def busy(self) -> int:
        """The number of busy threads."""
        return self._started - len(self._idle)

    @property
    def queued(self) -> int:
        """The number of pieces of work that wait for a thread."""
        return sum(map(len, self._waiting))

    async def run(
        self,
        function: Callable[[], T],
        *,
        taken: Callable[[], None] = lambda: None,
        last: bool = False,
    ) -> T:
        """Run a function in a thread. With `last`, it waits for all work without it.

        `taken` is called when a thread takes the function. If the caller is cancelled before, it
        never runs; after that, it is abandoned. Raises TimeoutError if `give_up` removes it from
        the queue, and `EngineUnavailable` if not even one thread can be started.
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

    def start_first(self) -> None:
        """Start the first thread, before the process reaches its limit of threads."""
        if self._started == 0 and (inbox := self._free()):
            self._idle.append(inbox)

    def give_up(self, *, since: float) -> None:
        """Give up all waiting work if no call has been answered since then (`monotonic`)."""
        if self._answered < since:
            self._refuse(TimeoutError())

    def close(self) -> None:
        """End the threads as they become idle, and cancel all waiting work."""
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
            if work.done.done():  # its caller was cancelled just now
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
        except RuntimeError:  # at the limit of threads: the work waits for the existing ones
            if self._started == 0:
                self._refuse(EngineUnavailable(NO_MORE_THREADS))
            return None
        self._started += 1
        return inbox

    def _refuse(self, error: Exception) -> None:
        """Raise the error in the callers of all waiting work."""
        for line in self._waiting:
            while line:
                work = line.popleft()
                if not work.done.done():
                    work.done.set_exception(error)

    def _serve(self, inbox: _Inbox, loop: asyncio.AbstractEventLoop) -> None:
        """Run the work of a thread until the event loop is closed."""
        with suppress(RuntimeError):
            while work := inbox.get():
                loop.call_soon_threadsafe(self._finish, inbox, work, *_outcome(work.function))
                del work  # otherwise its objects would live until the next work

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
    except BaseException as error:  # noqa: BLE001 - it is raised in the caller
        return None, error
