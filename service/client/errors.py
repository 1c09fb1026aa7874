"""Why a command ends: in one line, with one of the exit codes of docs/command-line.md."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes: scripts rely on them."""

    FAILED = 1
    USAGE = 2
    UNKNOWN = 3  # an identifier or launch id
    NOT_ALLOWED = 4
    UNREACHABLE = 5


class CommandError(Exception):
    """Ends a command. The message is for a person, and has no secret.

    `passing` says that the same may succeed soon.
    """

    def __init__(
        self, message: str, exit_code: ExitCode = ExitCode.FAILED, *, passing: bool = False
    ) -> None:
        super().__init__(message)
        self.exit_code, self.passing = exit_code, passing


def usage(message: str) -> CommandError:
    """The error of a command that was called in a wrong way."""
    return CommandError(message, ExitCode.USAGE)
