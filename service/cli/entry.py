"""The entry point: Ctrl-C ends the command cleanly even while Python imports the rest."""

import os
import signal

from service.client import deadline

_INTERRUPTED = 130  # as shells say it


def main() -> None:
    """Run the command line."""
    deadline.begin()
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, _leave)
    from service.cli import main as command_line

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line.main()


def _leave(_number: int, _frame: object) -> None:
    os._exit(_INTERRUPTED)
