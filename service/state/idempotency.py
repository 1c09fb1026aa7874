"""Idempotency keys: whether a launch request is the retry of an earlier one.

A key stands for one launch. While its job is there, and for ten minutes after, a request with the
same key launches nothing, even if the job has exited or was killed meanwhile. A launch that fails
gives its key back.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from observability.callers import NO_CALLER
from service.errors import InvalidRequest
from service.jobs.model import Job, JobSpec

METADATA_KEY = "idempotency-key"
MAX_CHARACTERS = 255
# How long the key of a job that is gone is kept (seconds), and the most such keys: more than an
# engine can launch in that time.
KEPT_SECONDS = 600.0
MOST_KEPT = 50_000


def key_in(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The key of a request; empty if it has none. Raises `InvalidRequest`."""
    values = [value for name, value in metadata if name == METADATA_KEY]
    if not values:
        return ""
    if len(values) > 1:
        raise InvalidRequest(f"{METADATA_KEY}: is given {len(values)} times; one is allowed")
    return _checked(str(values[0]))


def _checked(key: str) -> str:
    if not key.strip():
        raise InvalidRequest(
            f"{METADATA_KEY}: is empty or blank; give a key of its own to each launch, or none"
        )
    if len(key) > MAX_CHARACTERS:
        raise InvalidRequest(
            f"{METADATA_KEY}: has {len(key)} characters; at most {MAX_CHARACTERS} are allowed"
        )
    if not (key.isascii() and key.isprintable()):
        raise InvalidRequest(f"{METADATA_KEY}: only printable ASCII characters are allowed")
    return key


class _KeyedJob(NamedTuple):
    """The few fields of a job with a key that are kept, since its texts may be long."""

    job: Job  # without its identifier, its credentials and its killer
    hashed: int  # name and identifier

    @classmethod
    def of(cls, job: Job) -> "_KeyedJob":
        kept = replace(job, identifier="", redact=None, killer=NO_CALLER)
        return cls(kept, hash((job.name, job.identifier)))


class Keys:
    """The keys of the live jobs, and of those that have exited lately."""

    def __init__(self) -> None:
        self._live: dict[str, _KeyedJob] = {}
        # With the time until which each is kept; the soonest first.
        self._exited: OrderedDict[str, tuple[float, _KeyedJob]] = OrderedDict()

    def find(self, spec: JobSpec) -> Job | None:
        """The job that an earlier request with the same key has launched, as it was then.

        Raises `InvalidRequest` if it has another name or identifier.
        """
        keyed = self._get(spec.idempotency_key)
        if keyed is None:
            return None
        if keyed.hashed != hash((spec.name, spec.identifier)):
            raise InvalidRequest(
                f"{METADATA_KEY}: stands for an earlier launch, of another name or identifier;"
                " each launch needs a key of its own"
            )
        return replace(keyed.job, identifier=spec.identifier)

    def hold(self, job: Job) -> None:
        """Keep the key of a live job."""
        if job.idempotency_key:
            self._live[job.idempotency_key] = _KeyedJob.of(job)

    def release(self, job: Job) -> None:
        """The job is gone: keep its key for a while if it has run."""
        held = self._live.get(job.idempotency_key)
        if held is None or held.job.launch_id != job.launch_id:
            return
        del self._live[job.idempotency_key]
        if job.workload_id is not None:
            self.remember(job)

    def remember(self, job: Job) -> None:
        """Keep the key of a job that has exited for a while."""
        if job.idempotency_key:
            self._exited.pop(job.idempotency_key, None)
            until = time.monotonic() + KEPT_SECONDS
            self._exited[job.idempotency_key] = until, _KeyedJob.of(job)
            self._forget_old()

    def _get(self, key: str) -> _KeyedJob | None:
        self._forget_old()
        if live := self._live.get(key):
            return live
        _, exited = self._exited.get(key, (0.0, None))
        return exited

    def _forget_old(self) -> None:
        now = time.monotonic()
        while self._exited:
            until, _ = next(iter(self._exited.values()))
            if until > now and len(self._exited) <= MOST_KEPT:
                return
            self._exited.popitem(last=False)
