"""Who reads a log: copies a pipe into a file, and may sleep for a while, or go away."""

import fcntl
import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

Trouble: TypeAlias = Literal["sleeps", "goes"]

_ROOM = 4096  # bytes: the smallest pipe, so that it is soon full
_LOOK = 0.02  # how long it takes until a trouble begins (seconds)


class Tap:
    """A pipe with a name, so that a reader can go and come back, and the thread that reads it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.touch()
        self._pipe = file.with_suffix(".pipe")
        os.mkfifo(self._pipe)
        self._trouble: Trouble | None = None
        self._over = threading.Event()
        self._reading: int | None = self._open()
        self._thread = threading.Thread(target=self._copy, name="tap", daemon=True)

    @contextmanager
    def writer(self) -> Iterator[int]:
        """The end for a process to inherit; the reading ends when all those who have it do."""
        writing = os.open(self._pipe, os.O_WRONLY)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _ROOM)
        self._thread.start()
        try:
            yield writing
        finally:
            os.close(writing)

    @contextmanager
    def trouble(self, what: Trouble) -> Iterator[None]:
        """Nobody reads meanwhile; where the reader goes, nobody has the pipe open for it either."""
        self._over.clear()
        self._trouble = what
        try:
            yield
        finally:
            self._trouble = None
            self._over.set()

    def _open(self) -> int:
        return os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK)

    def _copy(self) -> None:
        with self._file.open("ab", buffering=0) as file:
            while True:
                if trouble := self._trouble:
                    self._sit_out(trouble)
                elif self._has_come():
                    if not (data := self._read()):
                        break
                    file.write(data)
        self._close()

    def _sit_out(self, trouble: Trouble) -> None:
        if trouble == "goes":
            self._close()
        self._over.wait()

    def _has_come(self) -> bool:
        """Data, or the end of them."""
        if self._reading is None:
            self._reading = self._open()
        coming = select.poll()
        coming.register(self._reading, select.POLLIN)
        return bool(coming.poll(_LOOK * 1000))

    def _read(self) -> bytes:
        assert self._reading is not None
        return os.read(self._reading, _ROOM)

    def _close(self) -> None:
        if self._reading is not None:
            os.close(self._reading)
            self._reading = None
