"""What the process inherits, made harmless: standard streams, signals, limits.

Called before anything else opens a file or starts a thread.
"""

import os
import signal
import stat
import sys
from contextlib import suppress
from typing import Any

from service.support.process_limits import raise_file_limit

STDIN, STDOUT, STDERR = 0, 1, 2
# Signals that end a process unless it says otherwise, and that do not ask for its end.
NO_END = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def set_up_process() -> None:
    """Make a process of whatever it was started from."""
    _open_missing_streams()
    never_block_on(STDERR)  # gRPC and the interpreter write there, from any thread
    _unblock_signals()
    raise_file_limit()


def _open_missing_streams() -> None:
    """Or the next socket would get the number of one, and the log would go there."""
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(number, True)  # noqa: FBT003 - it takes no name
    for name, number in (("stdout", STDOUT), ("stderr", STDERR)):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def never_block_on(number: int) -> None:
    """Have a standard stream take what it can, and refuse the rest, where nobody reads it.

    A pipe or terminal is opened anew, since others share what we have inherited.
    """
    with suppress(OSError):
        if stat.S_ISFIFO(os.fstat(number).st_mode) or os.isatty(number):
            anew = os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            os.dup2(anew, number)
            os.close(anew)


def outlive_the_terminal() -> None:
    """Ignore what would end or stop a service, and is sent for another reason, from here on.

    A terminal that closes sends SIGHUP, what rotates logs SIGHUP, SIGUSR1 or SIGUSR2; SIGTTOU stops
    what writes to a terminal in the background, where that is set so (`stty tostop`).
    """
    for number in (*NO_END, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)


def _unblock_signals() -> None:
    """A parent may have blocked SIGTERM, say; children inherit that."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
