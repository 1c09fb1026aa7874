"""Two supervisors, and nodes that die, are cut off, are drained, or lead no more."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.support.node_events import watching
from tests.support.supervised import Supervised, eventually
from tests.support.swarm import Swarm, SwarmNode, set_availability
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

_JOBS = [f"a-{n}" for n in range(10)]
_LOST_WITHIN = 40.0

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def both(managers: Swarm, begin: Begin) -> Both:
    """At two managers of which none leads at first."""
    return begin(managers.managers[1]), begin(managers.managers[2])


@pytest.fixture
def placed(both: Both, managers: Swarm) -> tuple[SwarmNode, Sequence[str]]:
    """A worker that runs some of the jobs, and these."""
    at_once(lambda name: launch(both[0], name), _JOBS)
    until_both_have(both, *_JOBS)
    node = max(managers.workers, key=lambda each: len(runs_on(each)))
    return node, runs_on(node)


def _until_lost(both: Both, lost: Sequence[str]) -> None:
    left = sorted({*_JOBS} - {*lost})
    began = time.monotonic()
    until_both_have(both, *left, within=_LOST_WITHIN + AGREE)
    seconds = time.monotonic() - began
    assert seconds < _LOST_WITHIN, seconds
    assert len(lost) == total(both, "supervisor_exits_total", outcome="lost")
    assert len(lost) == total(both, "supervisor_exits_total")


def test_jobs_of_a_dead_worker_are_lost_once_and_run_elsewhere_at_once(
    both: Both, placed: tuple[SwarmNode, Sequence[str]], managers: Swarm
) -> None:
    node, lost = placed
    assert lost
    node.lose_power()
    _until_lost(both, lost)
    at_once(lambda name: launch(both[1], name), lost)
    until_both_have(both, *_JOBS)
    node.start()
    managers.wait_until_ready()
    with watching([node], LABEL) as running:
        launch(both[0], "another")  # by then the node would have been told of its old tasks
        assert [] == runs_on(node) or ["another"] == runs_on(node)
    assert {1} >= set(running.most_at_once().values())
    until_both_have(both, *_JOBS, "another")


def test_jobs_of_a_worker_that_is_cut_off_run_twice_until_it_is_back_and_no_longer(
    both: Both, placed: tuple[SwarmNode, Sequence[str]]
) -> None:
    node, lost = placed
    assert lost
    node.machine.cut_off()
    _until_lost(both, lost)
    at_once(lambda name: launch(both[1], name), lost)
    assert lost == runs_on(node)  # Swarm can promise no more
    node.machine.plug_in()
    eventually(lambda: runs_on(node) == [], within=ELECTION)
    until_both_have(both, *_JOBS)


def test_jobs_of_a_drained_node_are_ended_by_others_and_run_elsewhere(
    both: Both, placed: tuple[SwarmNode, Sequence[str]], managers: Swarm
) -> None:
    node, ended = placed
    assert ended
    left = sorted({*_JOBS} - {*ended})
    with _drained(managers, node):
        until_both_have(both, *left, within=60)
        assert len(ended) == total(both, "supervisor_exits_total")
        assert len(ended) == total(both, "supervisor_exits_by_others_total")
        at_once(lambda name: launch(both[0], name), ended)
        assert [] == runs_on(node)
    until_both_have(both, *_JOBS)


@contextmanager
def _drained(swarm: Swarm, node: SwarmNode) -> Iterator[None]:
    set_availability(swarm, node, "drain")
    yield
    set_availability(swarm, node, "active")


def test_launches_outlive_the_leader(both: Both, managers: Swarm) -> None:
    names = [f"a-{n}" for n in range(50)]
    others = [each for each in managers.nodes if each is not managers.manager]
    with watching(others, LABEL) as running, ThreadPoolExecutor(16) as pool:
        launches = [pool.submit(_launch_at_last, both[n % 2], name) for n, name in enumerate(names)]
        eventually(lambda: any(each.done() for each in launches), within=60)
        managers.manager.lose_power()
        for each in launches:
            each.result()
        until_both_have(both, *names, within=120)
    assert {1} == set(running.most_at_once().values())


def _launch_at_last(supervised: Supervised, name: str) -> None:
    at_last(lambda: supervised.launch("timer", name))


def test_without_quorum_lists_and_dedups_answer_and_all_is_well_afterwards(
    both: Both, managers: Swarm
) -> None:
    two = both[1]
    at_once(lambda name: launch(two, name), _JOBS[:3])
    until_both_have(both, *_JOBS[:3])
    for node in managers.managers[:2]:
        node.kill()
    eventually(lambda: not two.is_ready(), within=30)
    assert _JOBS[:3] == two.running()
    launch(two, _JOBS[0])  # a dedup
    assert 503 == two.launch("timer", "new").error.code
    for node in managers.managers[:2]:
        node.start()
    _launch_at_last(two, "new")
    until_both_have(both, *_JOBS[:3], "new", within=ELECTION)
    assert 4 == total(both, "supervisor_launches_total")
