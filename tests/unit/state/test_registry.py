import asyncio

import pytest

from observability.metrics import Metrics
from service.app.metric_labels import new_metrics
from service.jobs.model import Job, Kind, State
from service.jobs.observations import (
    Closed,
    ExitSeen,
    HealthSeen,
    ImageSeen,
    KillFailed,
    KillIntended,
    PauseSeen,
    Started,
    StartFailed,
)
from service.state.registry import Registry
from tests.support.samples import NAMES, a_job

STARTED = Started("c1", 100.0)
REACTION = Kind.REACTION


@pytest.fixture
def metrics() -> Metrics:
    return new_metrics(NAMES, version="1", engine="docker", mode="production")


@pytest.fixture
def registry(metrics: Metrics) -> Registry:
    return Registry(metrics)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(name, labels)
    assert found is not None
    return found


def states(metrics: Metrics) -> dict[str, float]:
    return {
        state: value(metrics, "supervisor_jobs", state=state)
        for state in ("starting", "running", "stopping")
    }


def running(metrics: Metrics, name: str = "timer") -> float:
    return value(metrics, "supervisor_jobs_running", job_name=name)


# Who runs


def test_a_job_is_found_by_its_launch_and_by_its_identifier(registry: Registry) -> None:
    job = a_job()
    registry.add(job)
    assert job == registry.get(job.launch_id)
    assert [job] == registry.of("timer-1")
    assert [job] == registry.jobs()
    assert job == registry.grouped("timer-1")


def test_what_is_not_there_is_not_found(registry: Registry) -> None:
    assert registry.get("nobody") is None
    assert [] == registry.of("nobody")
    assert registry.grouped("nobody") is None
    assert registry.observe("nobody", KillIntended()) is None


def test_jobs_are_listed_in_the_order_of_their_launch(registry: Registry) -> None:
    for launch_id in "cab":
        registry.add(a_job(launch_id, identifier=launch_id))
    registry.observe("c", Started("1", 1))
    assert ["c", "a", "b"] == [job.launch_id for job in registry.jobs()]
    assert 3 == len(registry)


def test_the_list_is_a_copy(registry: Registry) -> None:
    registry.add(a_job("a"))
    listed, of = registry.jobs(), registry.of("timer-1")
    registry.observe("a", StartFailed())
    assert (1, 1) == (len(listed), len(of))


def test_reactions_of_one_identifier_stand_side_by_side(registry: Registry) -> None:
    for launch_id in "ab":
        registry.add(a_job(launch_id, name="mail", kind=REACTION))
    assert ["a", "b"] == [job.launch_id for job in registry.of("timer-1")]
    assert registry.grouped("timer-1") is None


def test_the_grouped_job_is_found_among_reactions_and_is_the_newest(registry: Registry) -> None:
    registry.add(a_job("a"))
    registry.observe("a", KillIntended())
    registry.add(a_job("b"))
    registry.add(a_job("c", name="mail", kind=REACTION))
    grouped = registry.grouped("timer-1")
    assert grouped is not None
    assert "b" == grouped.launch_id


def test_a_job_that_is_gone_is_forgotten(registry: Registry) -> None:
    for launch_id in "ab":
        registry.add(a_job(launch_id, kind=REACTION))
    registry.observe("a", STARTED)
    gone = registry.observe("a", Closed(200.0, 0))
    assert gone is not None
    assert State.GONE is gone.state
    assert registry.get("a") is None
    assert ["b"] == [job.launch_id for job in registry.of("timer-1")]
    registry.observe("b", StartFailed())
    assert [] == registry.of("timer-1")
    assert [] == registry.jobs()


def test_an_identifier_can_be_used_again(registry: Registry) -> None:
    registry.add(a_job("a"))
    registry.observe("a", StartFailed())
    registry.add(a_job("b"))
    assert ["b"] == [job.launch_id for job in registry.of("timer-1")]


def test_a_launch_cannot_be_added_twice(registry: Registry) -> None:
    registry.add(a_job())
    with pytest.raises(AssertionError):
        registry.add(a_job())


def test_observing_gives_the_job_after_it(registry: Registry) -> None:
    registry.add(a_job("a"))
    after = registry.observe("a", STARTED)
    assert after is not None
    assert (State.RUNNING, "c1") == (after.state, after.workload_id)
    assert after is registry.get("a")


# Waiting


async def test_waiting_ends_when_the_job_is_as_wanted(registry: Registry) -> None:
    registry.add(a_job("a"))
    waiting = asyncio.create_task(registry.wait("a", lambda job: job.state is State.STOPPING))
    await asyncio.sleep(0)
    registry.observe("a", STARTED)
    await asyncio.sleep(0)
    assert not waiting.done()
    registry.observe("a", KillIntended())
    found = await waiting
    assert found is not None
    assert State.STOPPING is found.state


async def test_waiting_does_not_wait_where_the_job_is_as_wanted(registry: Registry) -> None:
    job = a_job("a")
    registry.add(job)
    assert job == await registry.wait("a", lambda _: True)


async def test_waiting_ends_with_nothing_once_the_job_is_gone(registry: Registry) -> None:
    registry.add(a_job("a"))
    waiting = [asyncio.create_task(registry.wait("a", lambda _: False)) for _ in range(3)]
    await asyncio.sleep(0)
    registry.observe("a", StartFailed())
    assert [None] * 3 == await asyncio.gather(*waiting)
    assert await registry.wait("a", lambda _: False) is None


async def test_one_who_stops_waiting_leaves_nothing_behind(registry: Registry) -> None:
    """A job may run for days without a change, and its time limit is looked at twice a minute."""
    registry.add(a_job("a"))
    for _ in range(3):
        assert not await registry.wait_within("a", lambda _: False, 0.001)
    assert {} == registry._waiters


async def test_one_who_stops_waiting_does_not_disturb_the_others(registry: Registry) -> None:
    registry.add(a_job("a"))
    waiting = [asyncio.create_task(registry.wait("a", lambda _: False)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    registry.observe("a", StartFailed())
    assert await waiting[1] is None


async def test_the_end_of_a_job_tells_how_it_ended(registry: Registry) -> None:
    registry.add(a_job("a"))
    end = registry.when_closed("a")
    assert end is registry.when_closed("a")
    registry.observe("a", STARTED)
    assert not end.done()
    registry.observe("a", Closed(200.0, 3))
    assert 3 == end.result().exit_code


# Metrics


def test_the_metrics_follow_a_job_through_its_life(registry: Registry, metrics: Metrics) -> None:
    assert {"starting": 0, "running": 0, "stopping": 0} == states(metrics)
    registry.add(a_job("a"))
    assert {"starting": 1, "running": 0, "stopping": 0} == states(metrics)
    assert (0, 0) == (running(metrics), launches(metrics))
    registry.observe("a", STARTED)
    assert {"starting": 0, "running": 1, "stopping": 0} == states(metrics)
    assert (1, 1) == (running(metrics), launches(metrics))
    registry.observe("a", KillIntended())
    assert {"starting": 0, "running": 0, "stopping": 1} == states(metrics)
    assert 1 == running(metrics)
    registry.observe("a", KillFailed())
    assert {"starting": 0, "running": 1, "stopping": 0} == states(metrics)
    registry.observe("a", ExitSeen())
    assert {"starting": 0, "running": 0, "stopping": 0} == states(metrics)
    assert (1, 0) == (value(metrics, "supervisor_jobs", state="exited"), running(metrics))
    registry.observe("a", Closed(160.0, 0))
    assert {"starting": 0, "running": 0, "stopping": 0} == states(metrics)
    assert (0, 1) == (running(metrics), launches(metrics))
    assert 1 == exits(metrics, "ended")
    assert 60 == value(metrics, "supervisor_job_duration_seconds_sum", outcome="ended")


def launches(metrics: Metrics, name: str = "timer") -> float:
    return value(metrics, "supervisor_launches_total", job_name=name)


def exits(metrics: Metrics, outcome: str) -> float:
    return value(metrics, "supervisor_exits_total", job_name="timer", outcome=outcome)


def test_a_failed_start_is_no_launch_and_no_exit(registry: Registry, metrics: Metrics) -> None:
    registry.add(a_job("a"))
    registry.observe("a", StartFailed())
    assert {"starting": 0, "running": 0, "stopping": 0} == states(metrics)
    assert (0, 0) == (running(metrics), launches(metrics))
    assert 0 == sum(
        exits(metrics, outcome)
        for outcome in ("success", "ended", "error", "oom", "killed", "lost")
    )


def test_an_observation_that_says_nothing_new_counts_nothing(
    registry: Registry, metrics: Metrics
) -> None:
    registry.add(a_job("a"))
    for observation in (STARTED, STARTED, KillFailed(), KillIntended(), KillIntended()):
        registry.observe("a", observation)
    assert {"starting": 0, "running": 0, "stopping": 1} == states(metrics)
    assert (1, 1) == (running(metrics), launches(metrics))


def test_an_end_is_counted_once(registry: Registry, metrics: Metrics) -> None:
    registry.add(a_job("a"))
    for observation in (STARTED, KillIntended(), Closed(200.0, 143), Closed(201.0, 143)):
        registry.observe("a", observation)
    assert 1 == exits(metrics, "killed")
    assert 0 == running(metrics)


def test_a_job_that_the_catalogue_does_not_know_is_unknown(
    registry: Registry, metrics: Metrics
) -> None:
    registry.add(a_job("a", name="made-up"))
    registry.observe("a", STARTED)
    assert (1, 1) == (running(metrics, "unknown"), launches(metrics, "unknown"))
    assert "made-up" not in str([list(family.samples) for family in metrics.registry.collect()])


def test_a_clock_that_went_back_gives_no_negative_life(
    registry: Registry, metrics: Metrics
) -> None:
    registry.add(a_job("a"))
    registry.observe("a", STARTED)
    registry.observe("a", Closed(50.0, 1))
    assert 0 == value(metrics, "supervisor_job_duration_seconds_sum", outcome="error")


def test_the_running_gauge_agrees_with_the_list(registry: Registry, metrics: Metrics) -> None:
    for number in range(6):
        registry.add(a_job(str(number), identifier=str(number)))
    for number in range(4):
        registry.observe(str(number), Started(f"c{number}", 1.0))
    registry.observe("0", Closed(2.0, 0))
    registry.observe("1", KillIntended())
    live = [job for job in registry.jobs() if job.workload_id]
    assert len(live) == running(metrics) == 3
    by_state = [job.state.value for job in registry.jobs()]
    assert {state: by_state.count(state) for state in states(metrics)} == states(metrics)


def test_a_live_job_counts_for_the_node_that_runs_it(registry: Registry, metrics: Metrics) -> None:
    def on(node: str) -> float | None:
        return metrics.registry.get_sample_value("supervisor_jobs_by_node", {"node": node})

    for launch_id, node in (("a", "n1"), ("b", "n2"), ("c", "n2"), ("d", "")):
        registry.add(a_job(launch_id=launch_id, identifier=launch_id))
        registry.observe(launch_id, Started(f"c-{launch_id}", 100.0, node=node))
    assert (1, 2, None) == (on("n1"), on("n2"), on(""))
    registry.observe("b", ExitSeen())
    registry.observe("c", KillIntended())
    assert (1, 1) == (on("n1"), on("n2"))
    registry.observe("c", Closed(101.0, 143))
    assert (1, 0) == (on("n1"), on("n2"))


# Who listens


def test_listeners_are_told_of_each_job_and_of_each_visible_change(registry: Registry) -> None:
    told: list[tuple[str, State]] = []
    registry.subscribe_to_changes(lambda job: told.append((job.launch_id, job.state)))
    registry.add(a_job("a"))
    registry.adopt(a_job("b"), Started("c2", 100.0))
    registry.observe("a", STARTED)
    registry.observe("a", PauseSeen(paused=False))  # which it was
    registry.observe("a", HealthSeen(unhealthy=True))
    registry.observe("a", ImageSeen("c1", "sha256:1"))
    registry.observe("a", Closed(200.0, 1, last_lines="oh"))
    assert [
        ("a", State.STARTING),
        ("b", State.RUNNING),
        *[("a", State.RUNNING)] * 3,
        ("a", State.GONE),
    ] == told


def test_listeners_are_told_of_changes_in_their_order(registry: Registry) -> None:
    """Even if somebody changes a job because of its state."""
    told: list[State] = []

    def kill_what_runs(job: Job) -> None:
        if job.state is State.RUNNING:
            registry.observe(job.launch_id, KillIntended())

    registry.subscribe(kill_what_runs)
    registry.subscribe_to_changes(lambda job: told.append(job.state))
    registry.add(a_job("a"))
    registry.observe("a", STARTED)
    assert [State.STARTING, State.RUNNING, State.STOPPING] == told


def test_jobs_are_numbered_as_they_come(registry: Registry) -> None:
    for launch_id in "ab":
        registry.add(a_job(launch_id, kind=REACTION))
    registry.observe("a", StartFailed())
    registry.adopt(a_job("c"), Started("c3", 100.0))
    assert [2, 3] == [job.number for job in registry.jobs()]
