"""Output that is read again after a lost connection, or that comes after the end of its job."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import pytest

from service.engine.output import Printed
from service.jobs.model import Job
from service.observe.logs import _from
from service.observe.reading import _OVERLAP, Reading, _LastOutput, _Seen
from tests.support.clock import skipping_waits
from tests.support.samples import a_job


def printed(text: str, at: int, stream: str = "stdout") -> Printed:
    return Printed(stream, text, at)


def test_reading_begins_anew_a_while_before_the_last_line() -> None:
    seen = _Seen(since=7)
    assert 7 == seen.begin()
    seen.fresh([printed("a", 5 * _OVERLAP), printed("b", 3 * _OVERLAP, "stderr")])
    assert 4 * _OVERLAP == seen.begin()


@pytest.mark.parametrize(
    ("before", "again"),
    [
        (["one"], ["one", "two", "three"]),
        (["one", "two"], ["one", "two", "three"]),
        (["one", "two", "three"], ["one", "two", "three"]),
    ],
)
def test_of_lines_with_the_same_time_each_comes_once(
    before: Sequence[str], again: Sequence[str]
) -> None:
    seen = _Seen(0)
    seen.fresh([printed("older", 4)])
    assert [*before] == [x.text for x in seen.fresh([printed(text, 5) for text in before])]
    for text in ("at once", "and once more"):
        seen.begin()
        lines = [printed("older", 4), *(printed(each, 5) for each in again)]
        fresh = seen.fresh([*lines, printed(text, 6)] if text == "at once" else lines)
        expected = [*again[len(before) :], "at once"] if text == "at once" else []
        assert expected == [line.text for line in fresh]


def test_each_stream_has_a_last_line_of_its_own() -> None:
    seen = _Seen(0)
    seen.fresh([printed("a", 9)])
    seen.begin()
    assert ["b"] == [x.text for x in seen.fresh([printed("a", 9), printed("b", 3, "stderr")])]


def test_an_empty_part_of_a_line_is_no_line_and_an_empty_line_is_one() -> None:
    part, line = Printed("stdout", "", 5, ends=False), Printed("stdout", "", 5)
    assert [line] == _from(5, [part, line, printed("older", 4)])


_LOOKS = 3


class _Closing:
    """A registry that knows when the job is gone."""

    def __init__(self, job: Job) -> None:
        self._job, self._looks = job, 0
        self.gone: asyncio.Future[Job] = asyncio.get_running_loop().create_future()

    def get(self, _launch_id: str) -> Job | None:
        """Live once more after its end, so that somebody begins to wait for it."""
        self._looks += 1
        return self._job if self._looks < _LOOKS else None

    async def wait(self, _launch_id: str, _change: object) -> None:
        """It does not change any more."""

    def when_closed(self, _launch_id: str) -> asyncio.Future[Job]:
        return self.gone


async def _seconds_until_over(lines: Sequence[float]) -> float:
    """How long after its end the output of a job is complete, if lines come with these pauses."""
    loop = asyncio.get_running_loop()
    never: asyncio.Future[Any] = loop.create_future()
    registry: Any = _Closing(a_job())
    last = _LastOutput(registry, a_job(), loop.create_future())
    registry.gone.set_result(a_job())
    await last.wait(never, None)
    began, pauses = loop.time(), list(lines)
    while not last.is_over:
        if pauses:
            await asyncio.sleep(pauses.pop(0))
            last.note_output()
        else:
            await last.wait(never, None)
    return round(loop.time() - began, 3)


async def test_the_output_of_an_ended_job_is_complete_after_a_second_of_silence() -> None:
    with skipping_waits():
        assert 1 == await _seconds_until_over([])
        assert 2.8 == await _seconds_until_over([0.9, 0.9])


async def test_it_is_complete_after_ten_seconds_whatever_comes() -> None:
    with skipping_waits():
        assert 10 == await _seconds_until_over([0.5] * 100)


class _Trickle:
    """An engine that gives lines with pauses, and never says that there are no more."""

    async def logs(
        self, _id: str, *, follow: bool, since: int
    ) -> AsyncGenerator[Sequence[Printed], None]:
        del since
        for number in range(4 * follow):
            yield [printed(str(number), number + 1)]
            await asyncio.sleep(0.9)
        if follow:
            await asyncio.Event().wait()


async def test_lines_that_come_after_the_end_are_waited_for_each_time() -> None:
    with skipping_waits():
        registry, engine = cast("Any", _Closing(a_job(workload_id="x"))), cast("Any", _Trickle())
        closing = asyncio.get_running_loop().create_future()
        job = a_job(workload_id="x")
        reading = Reading(engine, registry, job, since=0, follow=True, closing=closing)
        registry.gone.set_result(a_job())
        texts = [line.text async for lines in reading.lines(lambda: None) for line in lines]
        assert ["0", "1", "2", "3"] == texts
