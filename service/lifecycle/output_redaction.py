"""Finds out which secrets have to be removed from the output of a job."""

from observability.redaction.redactor import Redactor
from service.engine.base import Engine
from service.engine.workloads import Inspection
from service.jobs.catalog_secrets import secrets_of
from service.jobs.credentials import auth_in, has_auth_file, parsed
from service.jobs.model import Job

LEFT_OUT = (
    "the output is left out: an earlier run launched this job, and its credentials, which would"
    " have to be removed, cannot be read any more"
)


async def output_redactor(engine: Engine, job: Job, seen: Inspection) -> Redactor | None:
    """A redactor for the secrets of a workload; None if they are not known any more.

    The credentials are those of the job, the variables of the catalogue those of the workload.
    Raises the `EngineError`s.
    """
    credentials = job.redact or await _read(engine, seen)
    return credentials and _with_variables(credentials, seen)


def redactor_at_hand(job: Job, seen: Inspection) -> Redactor | None:
    """The same; None also if the engine had to be asked for the credentials."""
    credentials = job.redact or _inspected(seen)
    return credentials and _with_variables(credentials, seen)


async def _read(engine: Engine, seen: Inspection) -> Redactor | None:
    if not has_auth_file(seen.arguments):
        return _inspected(seen)
    read_file = engine.capabilities.read_file
    content = await read_file(seen.id) if read_file else None
    auth = None if content is None else parsed(content)
    return None if auth is None else Redactor(auth)


def _inspected(seen: Inspection) -> Redactor | None:
    """None if the credentials are in a file."""
    if has_auth_file(seen.arguments):
        return None
    return Redactor(auth_in(seen.arguments, seen.environment))


def _with_variables(credentials: Redactor, seen: Inspection) -> Redactor:
    return credentials.and_of(list(secrets_of(seen.labels, seen.environment)))
