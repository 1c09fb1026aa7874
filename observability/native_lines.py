"""Reads what libraries in C print on standard error, and takes the lines that events replace."""

import atexit
import faulthandler
import os
import threading
from collections.abc import Callable
from contextlib import suppress

_STDERR = 2
# To pass on the last lines at the end (seconds).
_GRACE = 0.5


class NativeLines:
    """Stands in for standard error until closed. Lines that `take` does not take are passed on.

    C has no other way to give them to us. If the process crashes, lines may be lost, so the
    traceback of a crash goes past this.
    """

    def __init__(self, take: Callable[[str], bool]) -> None:
        self._take = take
        self._original = os.dup(_STDERR)
        read, write = os.pipe()
        os.set_blocking(write, False)  # a line that finds the pipe full is dropped: nobody waits
        os.dup2(write, _STDERR)
        os.close(write)
        self._lines = os.fdopen(read, "rb")
        faulthandler.enable(self._original)
        self._thread = threading.Thread(target=self._run, name="stderr", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # after Python has printed what ends it

    def close(self) -> None:
        os.dup2(self._original, _STDERR)  # closes the pipe, which ends the thread
        self._thread.join(_GRACE)

    def _run(self) -> None:
        for line in self._lines:
            if not self._take(line.decode(errors="replace").rstrip("\n")):
                with suppress(OSError):  # nobody reads it
                    os.write(self._original, line)
