"""In which fields a request differs from the one that launched a job. Pure.

Told by hashes, since the values are secret, or long; Python keys them anew in each process.
"""

from collections.abc import Mapping, Sequence
from json import JSONEncoder

from service.jobs.model import Job, JobSpec

# So many parameters, with names of so many characters, are compared one by one; where there are
# more, or longer ones, all together. A job keeps the names for as long as it is known.
_MOST_NAMES, _MOST_CHARACTERS = 32, 64
# `json.dumps` would make an encoder for each, which takes ten times as long.
_encode = JSONEncoder(sort_keys=True).encode


def digests_of(spec: JobSpec) -> Mapping[str, int]:
    """A hash for each field of a request: `name`, `auth`, and `params.KEY` for each parameter.

    A null is left out, as it is among the arguments.
    """
    params = {key: value for key, value in spec.params.items() if value is not None}
    fields: dict[str, object] = {"name": spec.name, "auth": dict(spec.auth)}
    if len(params) <= _MOST_NAMES and all(len(key) <= _MOST_CHARACTERS for key in params):
        fields |= {f"params.{key}": value for key, value in params.items()}
    else:
        fields["params"] = params
    return {field: hash(_encode(value)) for field, value in fields.items()}


def differing(job: Job, spec: JobSpec) -> Sequence[str]:
    """The fields that are not as in the request that launched a job; none where nobody knows."""
    if not job.digests or (spec.fingerprint and spec.fingerprint == job.fingerprint):
        return ()
    before, now = job.digests, digests_of(spec)
    return sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
