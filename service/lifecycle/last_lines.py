"""The last lines of a failed job's output for the log: few, and without secrets."""

from functools import partial

from observability.redaction.redactor import MOST_CHARACTERS, Redactor
from service.engine.base import Engine
from service.engine.workloads import Inspection
from service.errors import EngineError
from service.jobs.model import Job
from service.lifecycle.output_redaction import LEFT_OUT, output_redactor, redactor_at_hand

_SHOWN_LINES = 20
_SHOWN_CHARACTERS = 500
# More than are shown, so that a secret of several lines is not cut at its head and missed.
_FETCHED_LINES = 100
_LEFT_OUT = f"({LEFT_OUT})"


async def last_lines(engine: Engine, job: Job, seen: Inspection) -> str:
    """The last lines of a workload's output, or why they cannot be read or shown."""
    try:
        redact = await output_redactor(engine, job, seen)
        if redact is None:
            return _LEFT_OUT
        edit = partial(_redact_and_cut, redact=redact)
        return await engine.tail(seen.id, lines=_FETCHED_LINES, edit=edit)
    except EngineError as error:
        return f"(the output cannot be read: {error.message})"


def _redact_and_cut(output: str, redact: Redactor) -> str:
    """The lines that are shown. Redaction comes first: what a cut leaves of a secret is not found.

    Of very long output only whole lines are searched, for the same reason.
    """
    if len(output) > MOST_CHARACTERS:
        output = output[-MOST_CHARACTERS:].partition("\n")[2]
    lines = redact(output).splitlines()[-_SHOWN_LINES:]
    return "\n".join(line[:_SHOWN_CHARACTERS] for line in lines)


def probe_lines(job: Job, seen: Inspection) -> str:
    """The last lines that the last probe of a health check has printed, or why they are not shown.

    The engine is not asked for the credentials.
    """
    if seen.probe is None:
        return ""
    redact = redactor_at_hand(job, seen)
    return _LEFT_OUT if redact is None else _redact_and_cut(seen.probe.output, redact)
