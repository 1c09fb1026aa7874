"""What the benchmarks make of what they measure. Not what they measure: that would be noise."""

import asyncio
from collections import Counter
from io import StringIO
from itertools import pairwise, permutations, product
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from rich.console import Console

from benchmarks import plots, report
from benchmarks.__main__ import Name
from benchmarks.calls import DEDUP, ENDING
from benchmarks.result import AGAIN, Goal, Result, Rounds, Run, Verdict
from benchmarks.servers.service import Service
from benchmarks.stats import Estimate, estimate, interleaved, percentile, ratio
from service._generated.area_types_pb2 import AuthenticatedJobData
from service.jobs.model import JobSpec
from tests.support.supervised import free_port

_PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def _rounds() -> Rounds:
    """Two rounds, of which the second was on a machine that was twice as slow."""
    found = Rounds()
    for slow in (1, 2):
        found.add("time", "bare", 10.0 * slow)
        found.add("time", "ours", 11.0 * slow)
        found.add("time", "bare" + AGAIN, 10.0 * slow)
    return found


def _result() -> Result:
    goals = {"ours": Goal(1.15)}
    rows = _rounds().rows("time", "ms", baseline="bare", goals=goals)
    return Result("kill", rows, began="today", python="3.11.2", load=0.1)


def test_an_estimate_is_the_median_with_an_interval_around_it() -> None:
    found = estimate([1, 2, 3, 4, 100])
    assert found.median == 3
    assert 1 <= found.low < found.median < found.high <= 100


def test_the_interval_narrows_with_more_rounds() -> None:
    few, many = estimate([9, 10, 11]), estimate([9, 10, 11] * 20)
    assert many.high - many.low < few.high - few.low


def test_the_same_values_always_give_the_same_interval() -> None:
    values = [1.0, 5.0, 2.0, 8.0, 3.0]
    assert estimate(values) == estimate(values)


def test_a_ratio_is_taken_within_a_round() -> None:
    found = ratio([11, 22, 5.5], [10, 20, 5])
    assert [found.low, found.median, found.high] == pytest.approx([1.1] * 3)


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile(range(1, 101), 99) == 100
    assert percentile([3.0], 99) == 3.0


@pytest.mark.parametrize(
    ("contenders", "rounds"), [("ab", 2), ("abc", 6), ("abcd", 4), ("abcde", 10)]
)
def test_everybody_has_each_place_and_each_predecessor_equally_often(
    contenders: str, rounds: int
) -> None:
    many = len(contenders)
    order = "".join(interleaved(contenders, rounds))
    orders = [order[start : start + many] for start in range(0, len(order), many)]
    assert all(sorted(each) == list(contenders) for each in orders)
    places = Counter((place, who) for each in orders for place, who in enumerate(each))
    assert places == dict.fromkeys(product(range(many), contenders), rounds // many)
    followed = Counter(pair for each in orders for pair in pairwise(each))
    assert followed == dict.fromkeys(permutations(contenders, 2), rounds // many)


def test_the_machine_that_slows_down_does_not_change_a_ratio() -> None:
    bare, ours, again = _result().rows
    assert (bare.ratio, again.ratio) == (Estimate(1, 1, 1), Estimate(1, 1, 1))
    assert ours.ratio is not None
    assert ours.ratio.median == pytest.approx(1.1)
    assert not ours.is_noise
    assert again.is_noise
    assert [row.is_control for row in (bare, ours, again)] == [False, False, True]


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        (Goal(1.3), Verdict.MET),
        (Goal(1.1), Verdict.UNCLEAR),
        (Goal(0.9), Verdict.MISSED),
        (Goal(0.9, at_least=True), Verdict.MET),
        (Goal(1.1, at_least=True), Verdict.UNCLEAR),
        (Goal(1.3, at_least=True), Verdict.MISSED),
    ],
)
def test_a_goal_is_met_or_missed_by_the_whole_interval(goal: Goal, verdict: Verdict) -> None:
    assert goal.verdict(Estimate(1.1, 1.0, 1.2)) is verdict


def test_a_goal_may_be_for_the_value_itself() -> None:
    goals = {"ours": Goal(5, absolute=True)}
    (ours,) = [row for row in _rounds().rows("time", "ms", goals=goals) if row.goal]
    assert ours.verdict is Verdict.MISSED
    assert "≤ 5.00 ms | missed" in report.goals([Result("kill", [ours])])


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234")],
)
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert report.number(value) == shown


def test_a_table_says_a_quantity_once() -> None:
    lines = report.markdown(_result()).splitlines()
    assert lines[2:5] == [
        "| time | bare | 15.0 [10.0, 20.0] ms | 1.00 |  |  |",
        "|  | ours | 16.5 [11.0, 22.0] ms | 1.10 | ≤ 1.15 of it | met |",
        "|  | bare, again | 15.0 [10.0, 20.0] ms | 1.00 |  |  |",
    ]


def test_the_terminal_shows_the_same() -> None:
    console = Console(width=120, record=True, file=StringIO())
    console.print(report.table(_result()))
    shown = console.export_text()
    assert "16.5 [11.0, 22.0] ms" in shown
    assert "met" in shown


def test_a_block_of_a_page_is_written_anew_and_nothing_else() -> None:
    page = "before\n<!-- bench:kill -->\nold\n<!-- end -->\nafter\n<!-- end -->\n"
    once = report.replaced(page, "kill", "new \\1")
    assert once == ("before\n<!-- bench:kill -->\n\nnew \\1\n\n<!-- end -->\nafter\n<!-- end -->\n")
    assert report.replaced(once, "kill", "new \\1") == once
    with pytest.raises(ValueError, match="no block bench:launch"):
        report.replaced(page, "launch", "new")


@pytest.mark.parametrize("name", ["goals", "machine", *Name])
def test_the_page_has_a_block_for_each_measurement(name: str) -> None:
    assert "filled" in report.replaced(_PAGE.read_text(), name, "filled")


def test_a_run_can_be_read_again_and_drawn(tmp_path: Path) -> None:
    adapter = TypeAdapter(Run)
    run = Run({"CPU": "one"}, quick=True, results=[_result()])
    assert adapter.validate_json(adapter.dump_json(run)) == run
    picture = tmp_path / "bench-kill.png"
    plots.save(run.results[0], picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_message_is_framed_as_grpc_has_it() -> None:
    framed = DEDUP.framed
    assert framed[0] == 0
    assert int.from_bytes(framed[1:5], "big") == len(framed) - 5
    assert AuthenticatedJobData.FromString(framed[5:]) == DEDUP.message


async def test_the_service_works_on_the_engine_that_costs_nothing() -> None:
    service = Service(free_port())
    async with service.running():
        registry, launch = service.core.registry, service.core.supervisor.launch
        for _ in range(2):
            await launch(JobSpec(ENDING, "one"))
        (job,) = registry.jobs()
        assert service.engine.size > 0
        assert job.workload_id is not None
        service.engine.exit(job.workload_id, 0)
        async with asyncio.timeout(30):
            await registry.wait(job.launch_id, lambda _: False)
        assert await service.engine.list() == []
