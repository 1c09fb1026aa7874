"""The invariants: after each step, and at rest."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.samples import Sample

from service.app.metric_labels import LABELS
from service.engine.workloads import Status
from service.jobs.model import State
from tests.chaos.invariants import Sight, wrong_with
from tests.fake_engine.host import Container
from tests.simulation.catalog import CATALOG
from tests.simulation.life import Life
from tests.simulation.limits import wrong_with_limits
from tests.simulation.plan import STEADY
from tests.simulation.policies import wrong_with_policies, wrong_with_policies_at_rest
from tests.simulation.spill import spills
from tests.simulation.stage import Stage
from tests.simulation.trouble import COMPARED, PUT_RIGHT
from tests.simulation.virtual import Task
from tests.support.supervised import Scrape

# Where nothing is broken: within these an exit is noticed, and a request is answered (seconds).
_NOTICED, _ANSWERED = 4.0, 15.0
# After this nothing is left of what was broken: whatever failed then has been tried again.
_RECOVERED = 40.0
# A removal that the janitor has failed at is tried again after 30 s, and then twice as long.
_FIRST_RETRY = 30.0
_LASTING_TASKS = frozenset({"watcher", "events", "ping", "deep ping", "compare"})
# And one for each job, of these.
_FOLLOWED = ("time limit", "unhealthy", "successor")


def wrong_after_a_step(stage: Stage) -> Iterator[str]:
    """What is wrong after a step, whatever is broken."""
    life = stage.life
    if life is None or life.dead:
        return
    if life.watching.done() and not life.refused:
        yield f"the watcher has ended: {life.watching}"
    if life.core.readiness.listed and stage.lives.should_be_refused(life):
        yield "a rival unnoticed: it ran already, and the start went on"
    yield from _metrics_differ(life)
    yield from life.follower.wrong()
    yield from wrong_with_limits(life)
    yield from wrong_with_policies(stage, life)
    yield from _launched_while_cordoned(life)
    calm = stage.trouble.calm()
    if calm > _RECOVERED:
        yield from _exits_unnoticed(stage, life)
        yield from _requests_unanswered(stage)
    if calm > PUT_RIGHT:
        yield from _rivals_left(stage)


def wrong_at_rest(stage: Stage) -> Iterator[str]:
    """What is wrong once nothing happens any more."""
    life = stage.life
    if life is None:
        yield "not ready: there is no supervisor"
        return
    collected = _Collected(life.metrics.registry)
    yield from wrong_with(_sight(stage, life, collected))
    yield from _left_over_in_the_process(stage, life)
    yield from wrong_with_policies_at_rest(stage, life)
    for metric in collected.spilling():
        yield f"a secret in the labels: {metric}"
    for identifier in STEADY:
        if any(not fact.live for fact in stage.facts.of_identifier(identifier)):
            yield f"a job ended that nobody has touched: {identifier}"


def pauses_unnoticed(stage: Stage) -> Iterator[str]:
    """Jobs that are listed as paused and are not, or the other way round."""
    assert stage.life is not None
    for job in stage.life.core.registry.jobs():
        container = _container(stage, job.workload_id)
        if container is not None and container.paused != job.paused:
            yield f"a pause unnoticed: {job.identifier} is {job.state}, paused {container.paused}"


def _metrics_differ(life: Life) -> Iterator[str]:
    """The metrics move with the registry, in the same step of the event loop."""
    metrics, jobs = life.metrics, life.core.registry.jobs()
    by_state = Counter(job.state.value for job in jobs)
    for state in LABELS.states:
        if by_state[state] != (told := _value(metrics.jobs, state)):
            yield f"metrics: supervisor_jobs {state} is {told}, and there are {by_state[state]}"
    running = Counter(job.name for job in jobs if job.runs)
    for name in CATALOG:
        if running[name] != (told := _value(metrics.jobs_running, name)):
            yield f"metrics: supervisor_jobs_running {name} is {told}, and {running[name]} run"


def _launched_while_cordoned(life: Life) -> Iterator[str]:
    record = life.record
    for job in life.core.registry.jobs() if record.cordoned_until > life.now else ():
        if not job.adopted and job.launch_id not in record.accepted:
            yield f"a launch while cordoned: {job}"


def _value(metric: Gauge, label: str) -> float:
    return float(metric.labels(label)._value.get())


def _exits_unnoticed(stage: Stage, life: Life) -> Iterator[str]:
    now = stage.loop.time()
    for job in life.core.registry.jobs():
        fact = stage.facts.get(job.workload_id)
        waits = job.state is State.BACKING_OFF
        if fact is not None and not fact.live and not waits and now - fact.ended_at > _NOTICED:
            yield f"an exit unnoticed for {now - fact.ended_at:.1f} s: {job}"


def _requests_unanswered(stage: Stage) -> Iterator[str]:
    now = stage.loop.time()
    for asked in stage.clients.pending:
        if now - asked.at > _ANSWERED:
            yield f"a request unanswered for {now - asked.at:.1f} s: {asked.act}"


def _rivals_left(stage: Stage) -> Iterator[str]:
    for identifier, since in stage.facts.rivals():
        if (lasts := stage.loop.time() - since) > PUT_RIGHT:
            yield f"two live containers of an action: {identifier}, for {lasts:.1f} s"


def _left_over_in_the_process(stage: Stage, life: Life) -> Iterator[str]:
    if stage.clients.pending:
        yield f"requests unanswered: {[asked.act for asked in stage.clients.pending]}"
    followed = {
        f"{what} {job.launch_id}" for what in _FOLLOWED for job in life.core.registry.jobs()
    }
    left = [t for t in life.tasks if t.get_name() not in _LASTING_TASKS | followed]
    if left:
        yield f"tasks left: {[_told(task) for task in left]}"


def _sight(stage: Stage, life: Life, collected: "_Collected") -> Sight:
    """The state that the chaos suite checks, as it is here."""
    core = life.core
    containers = stage.engine.host.containers
    return Sight(
        jobs=[(j.name, j.identifier, j.state.value) for j in core.supervisor.list_jobs()],
        containers=[
            _listed(container)
            for container in containers
            if stage.facts.get(container.id) and not _is_postponed(stage, life, container)
        ],
        neighbours={each.id: _state(each) for each in containers},
        expected_neighbours={name: each.id for name, each in stage.neighbours.items()},
        scrape=collected,
        health="SERVING" if core.readiness.ready else "NOT_SERVING",
        ready=core.readiness.reason,
        threads=0,
        files=0,
        development=stage.lives.development,
        watches=[],  # after each step, see `wrong_after_a_step`
        drops_told=0,
    )


class _Collected(Scrape):
    """The metrics, without their text format, whose parsing would take most of the time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._samples = [sample for family in registry.collect() for sample in family.samples]

    def of(self, name: str) -> list[Sample]:
        return [sample for sample in self._samples if sample.name == name]

    def spilling(self) -> list[str]:
        """The samples whose labels have a secret."""
        return [sample.name for sample in self._samples if spills(sample.labels)]


def _listed(container: Container) -> dict[str, object]:
    return {
        "Id": container.id,
        "Names": [container.spec.name],
        "State": _state(container),
        "Labels": container.spec.labels,
    }


def _state(container: Container) -> str:
    if container.status is Status.LIVE:
        return "paused" if container.paused else "running"
    return container.status.value


def _is_postponed(stage: Stage, life: Life, container: Container) -> bool:
    """Whether the janitor has failed to remove it, and its next try is still to come."""
    failures, at = life.record.removal_failures.get(container.id, (0, 0.0))
    if not failures or container.status is Status.LIVE:
        return False
    due: float = at + _FIRST_RETRY * 2 ** (failures - 1)
    return stage.loop.time() < due + COMPARED


def _container(stage: Stage, container_id: str | None) -> Container | None:
    found = [c for c in stage.engine.host.containers if c.id == container_id]
    return found[0] if found else None


def _told(task: Task) -> str:
    coroutine = task.get_coro()
    return str(getattr(coroutine, "__qualname__", coroutine))
