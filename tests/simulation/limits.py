"""The limits of a life: never do more jobs run than may, and nobody waits while there is room."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from service.jobs.model import Job, State
from tests.simulation.catalog import TIGHT_CATALOG, TIGHT_MOST
from tests.simulation.life import Life

# How long a kill of a launch that waits for room or for its image may take (seconds).
_TAKEN_OUT = 0.5


class _Limit(NamedTuple):
    """So many jobs of these names may run."""

    most: int
    job_names: Collection[str]


def _limits() -> Mapping[str, _Limit]:
    """All of a tight life, written down anew and not as the supervisor reads them."""
    limits = {"all": _Limit(TIGHT_MOST, TIGHT_CATALOG)}
    for image, most in TIGHT_CATALOG.image_limits.items():
        names = [name for name, entry in TIGHT_CATALOG.items() if entry.image == image]
        limits[image] = _Limit(most, names)
    for name, entry in TIGHT_CATALOG.items():
        if entry.max_running is not None:
            limits[name] = _Limit(entry.max_running, [name])
    return limits


_LIMITS = _limits()


def wrong_with_limits(life: Life) -> Iterator[str]:
    """What is wrong after a step."""
    jobs = life.core.registry.jobs()
    for line in life.lines:
        yield from line.wrong
    yield from _not_taken_out(life, jobs)
    waiting = {job.launch_id for job in jobs if life.waits_for_room(job)}
    told = life.metrics.launches_waiting.labels("room")._value.get()
    if told != len(waiting):
        yield f"metrics: {told} wait for room, and {len(waiting)} do"
    if not life.tight:
        if waiting:
            yield f"a launch that waits where nothing is limited: {waiting}"
        return
    inside = [job for job in jobs if job.launch_id not in waiting and not life.was_ended(job)]
    yield from _exceeded(inside)
    yield from _in_vain(life, [job for job in jobs if job.launch_id in waiting])


def _exceeded(inside: Collection[Job]) -> Iterator[str]:
    """A job and the one that replaces it count once. Jobs that were adopted need no room."""
    for what, limit in _LIMITS.items():
        counted = [job for job in inside if job.name in limit.job_names and not job.closing]
        identifiers = {job.identifier if job.grouped else job.launch_id for job in counted}
        adopted = sum(job.adopted for job in counted)
        if len(identifiers) - adopted > limit.most:
            yield f"more jobs than may run: {len(identifiers)}, {adopted} adopted, of {what}"


def _in_vain(life: Life, waiting: Collection[Job]) -> Iterator[str]:
    """The first launch of each job name that waits may not go on."""
    rooms = life.core.supervisor.launch_tasks.rooms
    seen: Counter[str] = Counter()
    for job in waiting:
        seen[job.name] += 1
        if job.state is State.STARTING and seen[job.name] == 1 and not rooms.limit_reached(job):
            yield f"a launch that waits while there is room: {job}"


def _not_taken_out(life: Life, jobs: Collection[Job]) -> Iterator[str]:
    """A kill takes out a launch that waits for room or for its image."""
    for job in jobs:
        if job.kill_intended and (life.waits_for_room(job) or life.waits_for_image(job)):
            since = life.record.taking_out.setdefault(job.launch_id, life.now)
            if life.now - since > _TAKEN_OUT:
                yield f"a kill that waits for a launch: {job}"
