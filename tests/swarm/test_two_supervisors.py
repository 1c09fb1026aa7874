"""Two supervisors of one instance on three managers and two workers: one is enough."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Literal

import grpc
import pytest

from service._generated.area_types_pb2 import Response
from tests.support import containers, worker
from tests.support.node_events import watching
from tests.support.supervised import Supervised, eventually
from tests.support.swarm import Swarm
from tests.swarm.conftest import Begin
from tests.swarm.two import (
    AGREE,
    ELECTION,
    LABEL,
    Both,
    at_last,
    at_once,
    launch,
    runs_on,
    total,
    until_both_have,
)

pytestmark = pytest.mark.timeout(300)
# Each supervisor compares its jobs with the Swarm every 30 s (seconds, on a busy machine).
_TWO_COMPARISONS = 120.0


@pytest.fixture
def both(managers: Swarm, begin: Begin) -> Both:
    """At two managers of which none leads at first."""
    return begin(managers.managers[1]), begin(managers.managers[2])


def test_launches_kills_and_ends_are_counted_once_in_sum(both: Both, managers: Swarm) -> None:
    end, stay = [f"end-{n}" for n in range(6)], [f"stay-{n}" for n in range(6)]
    at_once(lambda name: launch(both[0], name, after="4", exit="3", say=f"I am {name}"), end)
    at_once(lambda name: launch(both[1], name), stay)
    until_both_have(both, *stay)
    at_once(both[0].kill, stay[:4])
    at_once(both[1].kill, stay)
    until_both_have(both)
    assert 12 == total(both, "supervisor_launches_total")
    assert 6 == total(both, "supervisor_exits_total", outcome="error")
    assert 6 == total(both, "supervisor_exits_total", outcome="killed")
    assert 12 == total(both, "supervisor_exits_total")
    exited = [event for each in both for event in each.events("job.exited")]
    assert sorted(end + stay) == sorted(event["identifier"] for event in exited)
    told = {event["identifier"]: event for event in exited}
    assert [f"I am {name}" for name in end] == [told[name]["output"][-1] for name in end]
    workers = {node.machine.name for node in managers.workers}
    assert workers == {event["node"] for event in told.values()}


def test_both_that_launch_the_same_succeed_and_it_runs_once(both: Both, managers: Swarm) -> None:
    names = [f"a-{n}" for n in range(8)]
    with watching(managers.nodes, LABEL) as running, ThreadPoolExecutor(2) as pool:
        launches = [
            pool.submit(at_once, lambda name, each=each: launch(each, name), names) for each in both
        ]
        for each in launches:
            each.result()
    until_both_have(both, *names)
    assert dict.fromkeys(names, 1) == running.most_at_once()
    assert len(names) == total(both, "supervisor_launches_total")
    assert len(names) == total(both, "supervisor_dedups_total")


def test_a_kill_of_all_ends_what_the_other_has_launched_and_is_launching(
    both: Both, managers: Swarm
) -> None:
    names = [f"a-{n}" for n in range(12)]
    with ThreadPoolExecutor(len(names)) as pool:
        launches = {name: pool.submit(launch, both[0], name) for name in names}
        eventually(lambda: any(each.done() for each in launches.values()), within=60)
        before = {name for name, each in launches.items() if each.done()}
        assert Response() == both[1].kill_all()
        for each in launches.values():
            each.result()
    # What was created after the kill runs.
    left = {name for node in managers.nodes for name in runs_on(node)}
    assert not before & left
    until_both_have(both, *left)


def test_identifiers_that_differ_in_case_run_side_by_side_and_a_strangers_name_is_taken(
    both: Both, managers: Swarm
) -> None:
    """Swarm takes names that differ in case for the same."""
    names = ["JOB", "Job", "job"]
    at_once(lambda name: launch(both[0], name), names)
    until_both_have(both, *names)
    at_once(lambda name: launch(both[1], name), names)  # dedups
    assert len(names) == total(both, "supervisor_launches_total")
    with managers.manager.client() as client:
        client.services.create(worker.IMAGE, name="Theirs")  # type: ignore[no-untyped-call]
        eventually(lambda: all(_runs(task) for task in client.api.tasks()), within=AGREE)  # type: ignore[no-untyped-call]
        assert 409 == both[1].launch("timer", "theirs").error.code
        assert Response() == both[1].kill_all()
        assert ["Theirs"] == [service.name for service in client.services.list()]


@pytest.mark.parametrize("dies", ["one", "one with its manager", "both"])
def test_whoever_dies_among_launches_and_kills_leaves_nothing_undone(
    dies: Literal["one", "one with its manager", "both"], both: Both, managers: Swarm
) -> None:
    (one, two), manager = both, managers.managers[1]
    old, new = [f"old-{n}" for n in range(8)], [f"new-{n}" for n in range(8)]
    at_once(lambda name: launch(one, name), old)
    until_both_have(both, *old)
    with watching(managers.workers, LABEL) as running, ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(_without_answer, one, "launch", name) for name in new]
        asked += [pool.submit(_without_answer, one, "kill", name) for name in old[:4]]
        eventually(lambda: asked[0].done() or _is_stopping(two))
        one.stop(signal.SIGKILL)
        if dies == "one with its manager":
            manager.lose_power()
        if dies == "both":
            two.stop(signal.SIGKILL)
            two.start()
        for each in asked:
            each.result()
        at_once(lambda name: at_last(lambda: two.launch("timer", name)), new)
        at_once(lambda name: at_last(lambda: two.kill(name)), old[:4])
    until_both_have([two], *old[4:], *new, within=ELECTION)
    assert {1} == set(running.most_at_once().values())
    manager.start()
    one.start()
    until_both_have(both, *old[4:], *new)


def _without_answer(supervised: Supervised, what: str, name: str) -> None:
    """Ask what may be answered or not: the supervisor dies meanwhile."""
    with suppress(grpc.RpcError):
        if what == "kill":
            supervised.kill(name)
        else:
            supervised.launch("timer", name)


def _is_stopping(supervised: Supervised) -> bool:
    return any(job.status == "stopping" for job in supervised.jobs())


def test_jobs_outlive_both_and_an_end_meanwhile_is_told_once(both: Both) -> None:
    launch(both[0], "ends", after="8", exit="3")
    launch(both[0], "stays")
    until_both_have(both, "ends", "stays")
    for each in both:
        each.stop(signal.SIGKILL)
    for each in both:
        each.start()
    until_both_have(both, "stays", within=60)
    assert 1 == total(both, "supervisor_exits_total", outcome="error")
    assert 1 == total(both, "supervisor_exits_total")


def test_what_is_nobodys_is_removed_by_one_of_them_once_it_has_had_its_grace(
    begin: Begin, managers: Swarm
) -> None:
    """A service that no node may run, as a supervisor leaves it that dies in a launch."""
    settings = {"LAUNCH_TIMEOUT_SECONDS": "5", "ORPHAN_GRACE_SECONDS": "6"}
    both = begin(managers.managers[1], **settings), begin(managers.managers[2], **settings)
    launch(both[0], "a-1")
    labels = containers.labels_of_another("default", "left")
    theirs = containers.labels_of_another("another", "theirs")
    with managers.manager.client() as client:

        def names() -> list[str]:
            return sorted(service.name for service in client.services.list())

        for name, given in (("left", labels), ("theirs", theirs), ("stack_web", {})):
            client.services.create(  # type: ignore[no-untyped-call]
                worker.IMAGE,
                name=name,
                labels=given,
                container_labels=given,
                constraints=["node.labels.tier==nowhere"],
            )
        removed = "supervisor_orphans_removed_total"
        eventually(lambda: 1 == total(both, removed), within=_TWO_COMPARISONS)
        eventually(lambda: ["a-1", "stack_web", "theirs"] == names())
        told = [event for each in both for event in each.events("janitor.removed")]
        assert [("left", "created")] == [(each["identifier"], each["status"]) for each in told]
        until_both_have(both, "a-1")
        assert Response() == both[1].kill_all()
        assert ["stack_web", "theirs"] == names()


def test_nobody_ends_the_jobs_of_another_at_its_start(
    both: Both, begin: Begin, managers: Swarm
) -> None:
    launch(both[0], "a-1")
    with managers.manager.client() as client:
        client.services.create(  # type: ignore[no-untyped-call]
            worker.IMAGE, name="other", labels={"area.supervisor.serves": "default"}
        )
        eventually(lambda: any(_runs(task) for task in client.api.tasks()), within=AGREE)  # type: ignore[no-untyped-call]
    refused = begin(managers.manager, ready=False, SUPERVISOR_ON_START="remove")
    assert 1 == refused.ended()
    (event,) = refused.events("supervisor.refused")
    assert "would end the jobs of 'other'" in event["reason"]
    assert ["a-1"] == both[0].running()


def _runs(task: dict[str, dict[str, str]]) -> bool:
    return task["Status"]["State"] == "running"
