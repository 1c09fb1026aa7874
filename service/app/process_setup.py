"""Repairs what the process inherits: standard streams, signals and limits.

This has to run before anything else opens a file or starts a thread.
"""

import os
import signal
import stat
import sys
from contextlib import suppress
from typing import Any

from service.support.process_limits import raise_file_limit

STDIN, STDOUT, STDERR = 0, 1, 2
# Signals that end a process by default, though their senders do not want it to end.
NO_END = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def set_up_process() -> None:
    """Set up streams, signals and limits, whatever the parent process has left."""
    _open_missing_streams()
    make_non_blocking(STDERR)  # gRPC and the interpreter write there from any thread
    _unblock_signals()
    raise_file_limit()


def _open_missing_streams() -> None:
    """Open closed streams: otherwise a socket could get number 1, and the log would go there."""
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, which is this one
            os.set_inheritable(number, True)  # noqa: FBT003 - it takes no name
    for name, number in (("stdout", STDOUT), ("stderr", STDERR)):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def make_non_blocking(number: int) -> None:
    """Make a standard stream non-blocking: if nobody reads it, writes fail instead.

    A pipe or terminal is opened again, because other processes share the inherited one.
    """
    with suppress(OSError):
        if stat.S_ISFIFO(os.fstat(number).st_mode) or os.isatty(number):
            anew = os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            os.dup2(anew, number)
            os.close(anew)


def ignore_terminal_signals() -> None:
    """Ignore signals that would end or stop the service, and are sent for other reasons.

    A closing terminal sends SIGHUP, and tools that rotate logs send SIGHUP, SIGUSR1 or SIGUSR2.
    With `stty tostop`, SIGTTOU stops a background process that writes to the terminal.
    """
    for number in (*NO_END, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)


def _unblock_signals() -> None:
    """Unblock all signals: a parent may have blocked SIGTERM, for example, for its children."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
