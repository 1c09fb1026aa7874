"""The suite's own parts: a check that cannot fail shows nothing."""

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from tests.chaos.invariants import CHECKS, Sight, restarted_too_often, wrong_with
from tests.chaos.killed import Killed
from tests.chaos.ledger import Ledger
from tests.chaos.plan import Launch, LogFault, Restart, Shortage, first_life, rounds
from tests.chaos.stage import RESTARTS
from tests.chaos.test_chaos import SEEDS
from tests.support.supervised import Scrape


def test_a_seed_is_a_plan() -> None:
    assert list(islice(rounds(7), 9)) == list(islice(rounds(7), 9))
    assert first_life(7) == first_life(7)
    assert next(rounds(7)) != next(rounds(8))


def test_the_short_run_meets_every_fault_of_the_surroundings() -> None:
    acts = [s.act for seed in SEEDS for plan in islice(rounds(seed), 2) for s in plan.steps]
    lives = [act.life for act in acts if isinstance(act, Restart)]
    lives += [first_life(seed) for seed in SEEDS]
    assert {"sleeps", "goes"} == {act.what for act in acts if isinstance(act, LogFault)}
    assert {"threads", "files"} == {act.of for act in acts if isinstance(act, Shortage)}
    assert {"a pipe", "a full disk"} == {life.log for life in lives}
    assert {True, False} == {life.poor for life in lives}
    names = {act.name for act in acts if isinstance(act, Launch)}
    assert {"hardy", "limited", "moody", "far", "narrow"} <= names


# The ledger


def test_one_after_the_other_are_no_twins() -> None:
    ledger = Ledger()
    ledger.began("one", "a", 1)
    ledger.ended("one", 2)
    ledger.began("two", "a", 2)
    ledger.began("three", "b", 1)
    assert [] == list(ledger.twins(excused=()))


def test_two_at_a_time_are_twins_in_whatever_order_they_are_told() -> None:
    ledger = Ledger()
    ledger.began("two", "a", 2)
    ledger.began("one", "a", 1)
    ledger.ended("one", 2.5)
    ledger.ended("two", 9)
    assert ["a: two and one ran together (0.500 s)"] == list(ledger.twins(excused=()))
    assert [] == list(ledger.twins(excused=["one"]))


def test_what_was_out_of_sight_is_no_evidence() -> None:
    ledger = Ledger()
    ledger.began("one", "a", 1)
    ledger.lost_sight(2)
    ledger.began("two", "a", 3)
    assert [] == list(ledger.twins(excused=()))
    ledger.began("one", "a", 4)
    assert ["a: one and two ran together (now)"] == list(ledger.twins(excused=()))


def test_a_new_round_remembers_what_runs() -> None:
    ledger = Ledger()
    ledger.began("one", "a", 1)
    ledger.began("two", "a", 1)
    ledger.ended("two", 2)
    ledger.forget()
    assert [] == list(ledger.twins(excused=()))
    ledger.began("three", "a", 3)
    assert 1 == len(list(ledger.twins(excused=())))


# What was killed


def test_what_was_killed_and_not_launched_since_is_dead() -> None:
    killed = Killed()
    for identifier in ("a", "b"):
        killed.launching(identifier)
        killed.launched(identifier, sure=True)
    killed.killed(killed.killing("a"))
    assert ("a" in killed, "b" in killed) == (True, False)
    killed.killed(killed.killing())
    assert "b" in killed
    killed.launching("a")
    assert "a" not in killed


def test_a_launch_beside_a_kill_is_no_evidence() -> None:
    killed = Killed()
    before = killed.killing("a")
    killed.launching("a")
    killed.killed(before)
    assert "a" not in killed
    killed.killed(killed.killing("a"))
    assert "a" not in killed  # it is under way
    killed.launched("a", sure=False)
    killed.killed(killed.killing("a"))
    assert "a" not in killed  # it may have an effect yet
    killed.begin_round()
    before = killed.killing("a")
    killed.forget()
    killed.killed(before)
    assert "a" not in killed
    killed.killed(killed.killing("a"))
    assert "a" in killed


# The invariants


def _scrape(
    *,
    jobs_running: int = 1,
    exits_total: int = 2,
    waiting: int = 0,
    pulling: int = 0,
    engine_up: int = 1,
    dropped: int = 3,
) -> Scrape:
    return Scrape(f"""
supervisor_jobs_running{{job_name="timer"}} {jobs_running}
supervisor_launches_total{{job_name="timer"}} 2
supervisor_adoptions_total{{job_name="timer"}} 1
supervisor_exits_total{{job_name="timer"}} {exits_total}
supervisor_jobs{{state="running"}} 1
supervisor_launches_in_progress{{state="limit"}} 1008
supervisor_launches_in_progress{{state="waiting"}} {waiting}
supervisor_pulls_in_progress{{state="limit"}} 2
supervisor_pulls_in_progress{{state="under_way"}} {pulling}
supervisor_engine_up {engine_up}
supervisor_log_lines_dropped_total {dropped}
""")


def _container(identifier: str, state: str = "running") -> dict[str, object]:
    labels = {"job": "timer", "identifier": identifier, "kind": "action"}
    return {
        "Id": f"{identifier}-id",
        "Names": [identifier],
        "State": state,
        "Labels": {f"area.supervisor.{key}": value for key, value in labels.items()},
    }


_WELL = Sight(
    jobs=[("timer", "a", "running")],
    containers=[_container("a")],
    neighbours={"n": "running", "a-id": "running"},
    expected_neighbours={"stranger": "n"},
    scrape=_scrape(),
    health="SERVING",
    ready="ready",
    threads=20,
    files=40,
    development=False,
    watches=[],
    drops_told=3,
)


def test_nothing_is_wrong_where_all_is_well() -> None:
    assert [] == wrong_with(_WELL)


# What is changed, and what the checks that have to notice begin with.
_FLAWS: list[tuple[dict[str, Any], list[str]]] = [
    ({"containers": [_container("a"), _container("b")]}, ["a live container that"]),
    ({"containers": []}, ["a job without"]),
    ({"containers": [_container("a"), _container("a")]}, ["a live container that", "more than"]),
    ({"containers": [_container("a"), _container("b", "exited")]}, ["a container left over"]),
    ({"neighbours": {"n": "exited"}}, ["a neighbour"]),
    ({"neighbours": {}}, ["a neighbour"]),
    ({"scrape": _scrape(exits_total=3)}, ["counters"]),
    ({"scrape": _scrape(jobs_running=0)}, ["counters"]),
    ({"jobs": [("timer", "a", "stopping")]}, ["not settled"]),
    ({"scrape": _scrape(waiting=1)}, ["not settled"]),
    ({"scrape": _scrape(pulling=1)}, ["not settled"]),
    ({"scrape": _scrape(engine_up=0)}, ["not ready"]),
    ({"health": "NOT_SERVING"}, ["not ready"]),
    ({"threads": 500}, ["leaking"]),
    ({"files": 500}, ["leaking"]),
    ({"watches": ["a is gone"]}, ["a watch knows"]),
    ({"drops_told": 2}, ["lines of the log dropped"]),
    ({"scrape": _scrape(dropped=0), "drops_told": None}, ["lines of the log dropped"]),
]


@pytest.mark.parametrize(("flaw", "names"), _FLAWS)
def test_each_check_can_fail(flaw: dict[str, Any], names: list[str]) -> None:
    wrong = wrong_with(replace(_WELL, **flaw))
    assert len(names) == len(wrong)
    assert all(told.startswith(name) for told, name in zip(wrong, names, strict=True)), wrong


def test_more_restarts_than_may_be_are_noticed() -> None:
    lines = [f'{{"attempt":{number},"event":"job.backing_off"}}' for number in (1, RESTARTS + 1)]
    assert lines[1:] == list(restarted_too_often([*lines, '{"attempt":9,"event":"job.restarted"}']))


def test_every_check_is_tried() -> None:
    told = [name for _, names in _FLAWS for name in names]
    assert all(any(check.startswith(name) for name in told) for check in CHECKS)


def test_development_keeps_what_has_exited_and_nothing_that_never_ran() -> None:
    kept = [_container("a"), _container("b", "exited")]
    assert [] == wrong_with(replace(_WELL, containers=kept, development=True))
    never = [_container("a"), _container("b", "created")]
    assert 1 == len(wrong_with(replace(_WELL, containers=never, development=True)))
