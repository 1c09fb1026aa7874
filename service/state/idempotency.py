"""Launches that came with an `idempotency-key`: the retry of one is told from another launch.

A key stands for one launch. While its container is there, and for ten minutes after its end, a
request with the same key launches nothing, whatever became of the job meanwhile: what has been
killed stays killed. A launch that fails gives its key back.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from observability.callers import NOBODY
from service.errors import InvalidRequest
from service.jobs.model import Job, JobSpec

METADATA_KEY = "idempotency-key"
MAX_CHARACTERS = 255
# How long the key of a job that is gone is kept (seconds), and how many such keys at most: more
# than an Engine can launch in that time.
KEPT_SECONDS = 600.0
MOST_KEPT = 50_000


def key_in(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The key that a request came with; empty where there is none. Raises `InvalidRequest`."""
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


class _Launch(NamedTuple):
    """What is kept of a launch: little, since clients may have sent long texts."""

    job: Job  # without its identifier, and without who had it killed
    request: int  # hash of what it launched

    @classmethod
    def of(cls, job: Job) -> "_Launch":
        return cls(replace(job, identifier="", killer=NOBODY), hash((job.name, job.identifier)))


class Keys:
    """The keys of the live jobs, and those of the jobs that have ended not long ago."""

    def __init__(self) -> None:
        self._live: dict[str, _Launch] = {}
        self._ended: OrderedDict[str, tuple[float, _Launch]] = OrderedDict()  # soonest first

    def find(self, spec: JobSpec) -> Job | None:
        """The job that an earlier request with the same key launched, as it was then.

        Raises `InvalidRequest` where that was another job.
        """
        launch = self._of(spec.idempotency_key)
        if launch is None:
            return None
        if launch.request != hash((spec.name, spec.identifier)):
            raise InvalidRequest(
                f"{METADATA_KEY}: stands for an earlier launch, of another name or identifier;"
                " each launch needs a key of its own"
            )
        return replace(launch.job, identifier=spec.identifier)

    def hold(self, job: Job) -> None:
        """Keep the key of a job that lives from now on."""
        if job.idempotency_key:
            self._live[job.idempotency_key] = _Launch.of(job)

    def release(self, job: Job) -> None:
        """The job is gone: keep its key for a while, unless it never came to run."""
        held = self._live.get(job.idempotency_key)
        if held is None or held.job.launch_id != job.launch_id:
            return
        del self._live[job.idempotency_key]
        if job.workload_id is not None:
            self.remember(job)

    def remember(self, job: Job) -> None:
        """Keep the key of a job that has ended."""
        if job.idempotency_key:
            self._ended.pop(job.idempotency_key, None)
            until = time.monotonic() + KEPT_SECONDS
            self._ended[job.idempotency_key] = until, _Launch.of(job)
            self._forget_the_old()

    def _of(self, key: str) -> _Launch | None:
        self._forget_the_old()
        if launch := self._live.get(key):
            return launch
        _, ended = self._ended.get(key, (0.0, None))
        return ended

    def _forget_the_old(self) -> None:
        now = time.monotonic()
        while self._ended:
            until, _ = next(iter(self._ended.values()))
            if until > now and len(self._ended) <= MOST_KEPT:
                return
            self._ended.popitem(last=False)
