"""Finds the fields in which a request differs from the one that launched a job. Pure.

A job keeps hashes of the values, which may be secret or long. Python's hash has a random key in
each process.
"""

from collections.abc import Mapping, Sequence
from json import JSONEncoder

from service.jobs.model import Job, JobSpec

# Up to this many parameters, with names of up to this many characters, are compared one by one, and
# otherwise all together: a job keeps the names in memory.
_MOST_NAMES, _MOST_CHARACTERS = 32, 64
# `json.dumps` would create an encoder at each call, which takes ten times as long.
_encode = JSONEncoder(sort_keys=True).encode


def digests_of(spec: JobSpec) -> Mapping[str, int]:
    """A hash for each field of a request: `name`, `auth`, and `params.KEY` for each parameter.

    Parameters that are null are left out, as they are left out of the arguments.
    """
    params = {key: value for key, value in spec.params.items() if value is not None}
    fields: dict[str, object] = {"name": spec.name, "auth": dict(spec.auth)}
    if len(params) <= _MOST_NAMES and all(len(key) <= _MOST_CHARACTERS for key in params):
        fields |= {f"params.{key}": value for key, value in params.items()}
    else:
        fields["params"] = params
    return {field: hash(_encode(value)) for field, value in fields.items()}


def differing(job: Job, spec: JobSpec) -> Sequence[str]:
    """The fields that differ from the request that launched the job; none if that is unknown."""
    if not job.digests or (spec.fingerprint and spec.fingerprint == job.fingerprint):
        return ()
    before, now = job.digests, digests_of(spec)
    return sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
