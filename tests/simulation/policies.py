"""What jobs have to keep to by their policies: after each step, and at rest."""

from collections import Counter
from collections.abc import Iterator

import prometheus_client
from prometheus_client import Gauge

from service.engine.workloads import Health, Status
from service.jobs.labels import is_restartable
from service.jobs.model import Job, State
from tests.fake_engine.host import Container
from tests.simulation.catalog import CATALOG, POLICIES
from tests.simulation.facts import Fact
from tests.simulation.life import GRACE, Life
from tests.simulation.stage import Stage
from tests.simulation.trouble import LINGERS

# Where nothing is broken: how long after its time a job may run, beside its grace, and how long
# after its wait one may still wait (seconds).
_LATE = 2.0
# How long a pull may go on that nobody waits for (seconds).
_CANCELLED = 0.5


def wrong_with_policies(stage: Stage, life: Life) -> Iterator[str]:
    """What is wrong after a step."""
    yield from stage.engine.wrong
    yield from _metrics_differ(life)
    yield from _pulled_for_nobody(stage, life)
    for job in life.core.registry.jobs():
        fact = stage.facts.get(job.workload_id)
        if fact is not None:
            yield from _past_its_time(stage, job, fact)
            yield from _waits_for_too_long(stage, life, job, fact)


def wrong_with_policies_at_rest(stage: Stage, life: Life) -> Iterator[str]:
    """What is wrong once nothing happens any more."""
    containers = {each.id: each for each in stage.engine.host.containers}
    for job in life.core.registry.jobs():
        if container := containers.get(job.workload_id or ""):
            yield from _wrong_with_health(job, container)
        if (fact := stage.facts.get(job.workload_id)) and fact.touched_at is None:
            yield from _far_past_its_time(stage, job, fact)
    for container in containers.values():
        if is_restartable(container.spec.labels) and container.status is not Status.LIVE:
            yield f"a container left that was started again: {container.spec.name}"
    yield from _history_differs(stage, life)


def _metrics_differ(life: Life) -> Iterator[str]:
    metrics, record = life.metrics, life.record
    sick = Counter(job.name for job in life.core.registry.jobs() if job.is_sick)
    for name in CATALOG:
        for what, told, true in (
            ("jobs_unhealthy", metrics.jobs_unhealthy, sick),
            ("restarts", metrics.restarts, record.restarted),
            ("launches", metrics.launches, record.begun),
        ):
            if _value(told, name) != true[name]:
                yield f"metrics: supervisor_{what} {name} is {_value(told, name)}, not {true[name]}"


def _value(metric: Gauge | prometheus_client.Counter, label: str) -> float:
    return float(metric.labels(label)._value.get())


def _pulled_for_nobody(stage: Stage, life: Life) -> Iterator[str]:
    waiting = {job.image for job in life.core.registry.jobs() if job.workload_id is None}
    since = life.record.unwanted_pulls
    for image, pulls in stage.engine.pulling.items():
        if not pulls or image in waiting:
            since.pop(image, None)
        elif life.now - since.setdefault(image, life.now) > _CANCELLED:
            yield f"a pull that nobody waits for: {image}"


def _past_its_time(stage: Stage, job: Job, fact: Fact) -> Iterator[str]:
    """A job runs for as long as it may; a third party may have begun another run."""
    limit = CATALOG[job.name].time_limit
    if limit is None or not fact.live or fact.touched_at is not None:
        return
    due = fact.started_at + limit
    late = stage.loop.time() - due - job.grace(GRACE)
    if late > _LATE and not stage.trouble.was_since(due - LINGERS, fact.identifier):
        yield f"a job past its time: {late:.1f} s, {job}"


def _far_past_its_time(stage: Stage, job: Job, fact: Fact) -> Iterator[str]:
    """At rest nothing excuses it."""
    limit = CATALOG[job.name].time_limit
    if limit is not None and stage.loop.time() - fact.started_at > limit + job.grace(GRACE) + _LATE:
        yield f"a job past its time: {job}"


def _waits_for_too_long(stage: Stage, life: Life, job: Job, fact: Fact) -> Iterator[str]:
    """A job is started again in time, unless that has failed before."""
    due, failed = life.record.due.get(job.launch_id), job.launch_id in life.record.refused
    if job.state is not State.BACKING_OFF or due is None or failed:
        return
    late = life.now - due
    if late > _LATE and not stage.trouble.was_since(due - LINGERS, fact.identifier):
        yield f"a job that is not started again: {late:.1f} s, {job}"


def _wrong_with_health(job: Job, container: Container) -> Iterator[str]:
    sick = container.health is Health.UNHEALTHY
    if job.unhealthy != sick:
        yield f"a health unnoticed: {job}, {container.health}"
    policy = POLICIES[job.name]
    if sick and policy is not None and policy.unhealthy:
        yield f"an unhealthy job that was not started again: {job}"


def _history_differs(stage: Stage, life: Life) -> Iterator[str]:
    """Each end that was told is in the history; and those of jobs that the start has ended."""
    if missing := life.record.ended - set(life.history):
        yield f"an end that is not in the history any more: {missing}"
    for launch_id in set(life.history) - life.record.ended:
        facts = list(stage.facts.of_launches([launch_id]))
        if life.adopt or any(life.record.jobs.get(fact.id) == 0.0 for fact in facts):
            yield f"an end in the history that was not told: {facts}"
