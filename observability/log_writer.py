"""Writes the log from a thread of its own, so that nothing ever waits for whoever reads it.

A disk may be full, a pipe may have no reader, or one that sleeps. What cannot be written is
dropped and counted: a log that blocks would block everything.
"""

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

# What may wait to be written (bytes). Lines that come on top of it are dropped.
MOST_WAITING = 4 * 2**20
# Lines are written so long after the first of them (seconds): to wake a thread for each would
# cost more than the write.
_GATHERING = 0.005
# For one write, so that a reader which comes and goes costs few lines (bytes).
_AT_ONCE = 64 * 2**10


class LogWriter:
    """Writes lines to a file descriptor, in their order; never blocks or raises."""

    def __init__(self, descriptor: int) -> None:
        self.on_drop: Callable[[int], object] = _ignore
        """Told how many lines were dropped, by whichever thread has dropped them."""
        self.on_recovery: Callable[[int], object] = _ignore
        """Told in the thread, once writing works again, how many lines were dropped."""
        self._descriptor = descriptor
        # One that may be taken again: a line may be logged by a finalizer, in the middle of this.
        self._lock = threading.RLock()
        self._lines: list[bytes] = []
        self._waiting = 0  # bytes
        self._untold = 0  # dropped lines
        self._asleep = True
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._closing = False
        self._in_a_line = False  # the last write broke off in the middle of one
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Have a line written, which ends with a newline."""
        with self._lock:
            if self._waiting > MOST_WAITING:
                self._drop(1)
                return
            self._lines.append(line)
            self._waiting += len(line)
            if not self._asleep:
                return
            self._asleep = False
        if self._thread is None:
            self._begin()
        self._wake.put(None)

    def close(self, *, within: float) -> None:
        """Write what waits, for `within` seconds at most; nothing is written afterwards."""
        self._closing = True
        self._wake.put(None)
        if self._thread is not None:
            self._thread.join(within)

    def _begin(self) -> None:
        thread = threading.Thread(target=self._serve, name="log", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # this process may have no more threads: the next line tries again
            self._asleep = True
        else:
            self._thread = thread

    def _serve(self) -> None:
        closing = False
        while not closing:
            self._wake.get()
            closing = self._closing  # seen before the last look, so that no line comes after it
            if not closing:
                time.sleep(_GATHERING)
            while batch := self._take():
                self._write_all(batch)

    def _take(self) -> list[bytes]:
        with self._lock:
            batch, self._lines = self._lines, []
            self._waiting = 0
            self._asleep = not batch
            return batch

    def _write_all(self, lines: list[bytes]) -> None:
        while lines:
            size = count = 0
            while count < len(lines) and size < _AT_ONCE:
                size += len(lines[count])
                count += 1
            self._write_some(lines[:count])
            del lines[:count]

    def _write_some(self, lines: list[bytes]) -> None:
        """Write lines as one; what an error leaves of them is dropped."""
        whole = b"".join(lines)
        if self._in_a_line:
            whole = b"\n" + whole
        rest = memoryview(whole)
        try:
            while rest:
                rest = rest[self._write(rest) :]
        except OSError:
            # Those that end in the rest; none does with what ends the one that broke off.
            self._drop(min(len(lines), bytes(rest).count(b"\n")))
        else:
            self._tell()
        if written := whole[: len(whole) - len(rest)]:
            self._in_a_line = not written.endswith(b"\n")

    def _write(self, data: memoryview) -> int:
        """Write some of it, also where whoever has opened the descriptor wants no waiting."""
        while True:
            with suppress(BlockingIOError):
                return os.write(self._descriptor, data)
            waits = select.poll()
            waits.register(self._descriptor, select.POLLOUT)
            waits.poll()

    def _drop(self, lines: int) -> None:
        with self._lock:
            self._untold += lines
        self.on_drop(lines)

    def _tell(self) -> None:
        with self._lock:
            untold, self._untold = self._untold, 0
        if untold:
            self.on_recovery(untold)


def _ignore(_: int) -> None:
    """Nobody wants to know."""
