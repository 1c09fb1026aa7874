"""Writes the log in a thread of its own, so that the service never waits for the log's reader.

A disk may be full, and a pipe may have no reader or a slow one. Lines that cannot be written are
dropped and counted.
"""

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

# The limit of lines that wait to be written (bytes). Further lines are dropped.
MOST_WAITING = 4 * 2**20
# How long to collect lines before they are written (seconds): waking the thread for each line
# would cost more than the write.
_GATHERING = 0.005
# The size of one write, so that a reader which goes away costs few lines (bytes).
_AT_ONCE = 64 * 2**10


class LogWriter:
    """Writes lines to a file descriptor, in order. Never blocks or raises."""

    def __init__(self, descriptor: int) -> None:
        self.on_drop: Callable[[int], object] = _ignore
        """Called with the number of dropped lines, in the thread that drops them."""
        self.on_recovery: Callable[[int], object] = _ignore
        """Called with the number of dropped lines when writes work again, in the log's thread."""
        self._descriptor = descriptor
        # Reentrant: a finalizer may log a line while this thread holds the lock.
        self._lock = threading.RLock()
        self._lines: list[bytes] = []
        self._waiting = 0  # bytes
        self._unreported = 0  # dropped lines
        self._asleep = True
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._closing = False
        self._in_a_line = False  # the last write stopped in the middle of a line
        self._thread: threading.Thread | None = None

    @property
    def drops(self) -> bool:
        """Whether lines are being dropped: none has been written since the last one."""
        return self._unreported > 0

    def write(self, line: bytes) -> None:
        """Queue a line, which ends with a newline."""
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
        """Write the queued lines, for at most `within` seconds. Nothing is written afterwards."""
        self._closing = True
        self._wake.put(None)
        if self._thread is not None:
            self._thread.join(within)

    def _begin(self) -> None:
        thread = threading.Thread(target=self._serve, name="log", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the limit of threads is reached: the next line tries again
            self._asleep = True
        else:
            self._thread = thread

    def _serve(self) -> None:
        closing = False
        while not closing:
            self._wake.get()
            closing = self._closing  # read before the last batch is taken, so no line is missed
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
        """Write lines together. After an error, the rest of them is dropped."""
        whole = b"".join(lines)
        if self._in_a_line:
            whole = b"\n" + whole
        rest = memoryview(whole)
        try:
            while rest:
                rest = rest[self._write(rest) :]
        except OSError:
            # The lines that end in the rest, without the newline that ends an incomplete line.
            self._drop(min(len(lines), bytes(rest).count(b"\n")))
        else:
            self._report_dropped()
        if written := whole[: len(whole) - len(rest)]:
            self._in_a_line = not written.endswith(b"\n")

    def _write(self, data: memoryview) -> int:
        """Write a part of the data. Wait if the descriptor is non-blocking."""
        while True:
            with suppress(BlockingIOError):
                return os.write(self._descriptor, data)
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll()

    def _drop(self, lines: int) -> None:
        with self._lock:
            self._unreported += lines
        self.on_drop(lines)

    def _report_dropped(self) -> None:
        with self._lock:
            dropped, self._unreported = self._unreported, 0
        if dropped:
            self.on_recovery(dropped)


def _ignore(_: int) -> None:
    """Do nothing."""
