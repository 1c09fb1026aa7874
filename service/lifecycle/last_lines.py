"""The last lines of a failed job's output for the log: few, and without secrets."""

from collections.abc import Sequence
from functools import partial

from observability.redaction.redactor import MOST_CHARACTERS, Redactor
from service.engine.base import Engine, Inspection
from service.errors import EngineError
from service.jobs.workload import auth_in

_SHOWN_LINES = 20
_SHOWN_CHARACTERS = 500
# More than are shown, so that a secret of several lines is not cut at its head and missed.
_FETCHED_LINES = 100


async def last_lines(engine: Engine, seen: Inspection) -> str:
    """The last lines of a workload's output, or why they cannot be read."""
    edit = partial(_redact_and_cut, arguments=seen.arguments)
    try:
        return await engine.tail(seen.id, lines=_FETCHED_LINES, edit=edit)
    except EngineError as error:
        return f"(the output cannot be read: {error.message})"


def _redact_and_cut(output: str, arguments: Sequence[str]) -> str:
    """The lines that are shown. Redaction comes first: what a cut leaves of a secret is not found.

    Of very long output only whole lines are searched, for the same reason.
    """
    if len(output) > MOST_CHARACTERS:
        output = output[-MOST_CHARACTERS:].partition("\n")[2]
    lines = Redactor(auth_in(arguments))(output).splitlines()[-_SHOWN_LINES:]
    return "\n".join(line[:_SHOWN_CHARACTERS] for line in lines)


def probe_lines(seen: Inspection) -> str:
    """The last lines that the last probe of a health check has printed."""
    return _redact_and_cut(seen.probe.output, seen.arguments) if seen.probe else ""
