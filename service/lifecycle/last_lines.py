"""The last lines of a failed job's output for the log: few, and without secrets."""

from functools import partial

from observability.redaction.redactor import MOST_CHARACTERS, Redactor
from service.engine.base import Engine, Inspection
from service.errors import EngineError
from service.jobs.credentials import auth_in, has_auth_file, parsed
from service.jobs.model import Job
from service.jobs.workload import secrets_of

_SHOWN_LINES = 20
_SHOWN_CHARACTERS = 500
# More than are shown, so that a secret of several lines is not cut at its head and missed.
_FETCHED_LINES = 100
_LEFT_OUT = (
    "(the output is left out: an earlier run launched this job, and its credentials, which would"
    " have to be removed, cannot be read any more)"
)


async def last_lines(engine: Engine, job: Job, seen: Inspection) -> str:
    """The last lines of a workload's output, or why they cannot be read or shown."""
    try:
        redact = job.redact or await _redactor(engine, seen)
        if redact is None:
            return _LEFT_OUT
        edit = partial(_redact_and_cut, redact=redact, seen=seen)
        return await engine.tail(seen.id, lines=_FETCHED_LINES, edit=edit)
    except EngineError as error:
        return f"(the output cannot be read: {error.message})"


async def _redactor(engine: Engine, seen: Inspection) -> Redactor | None:
    """What removes the credentials of a workload; None if nobody knows them any more."""
    if not has_auth_file(seen.arguments):
        return _inspected(seen)
    read_file = engine.capabilities.read_file
    content = await read_file(seen.id) if read_file else None
    auth = None if content is None else parsed(content)
    return None if auth is None else Redactor(auth)


def _inspected(seen: Inspection) -> Redactor | None:
    """The same; None if they are in a file."""
    if has_auth_file(seen.arguments):
        return None
    return Redactor(auth_in(seen.arguments, seen.environment))


def _redact_and_cut(output: str, redact: Redactor, seen: Inspection) -> str:
    """The lines that are shown. Redaction comes first: what a cut leaves of a secret is not found.

    `redact` knows the credentials; the variables of the catalogue are known by the workload.

    Of very long output only whole lines are searched, for the same reason.
    """
    if len(output) > MOST_CHARACTERS:
        output = output[-MOST_CHARACTERS:].partition("\n")[2]
    variables = Redactor(secrets_of(seen.labels, seen.environment))
    lines = variables(redact(output)).splitlines()[-_SHOWN_LINES:]
    return "\n".join(line[:_SHOWN_CHARACTERS] for line in lines)


def probe_lines(job: Job, seen: Inspection) -> str:
    """The last lines that the last probe of a health check has printed, or why they are not shown.

    The engine is not asked for the credentials.
    """
    if seen.probe is None:
        return ""
    redact = job.redact or _inspected(seen)
    return _LEFT_OUT if redact is None else _redact_and_cut(seen.probe.output, redact, seen)
