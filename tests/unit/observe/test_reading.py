"""Output that is read again after a lost connection, or that comes after the end of its job."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

from service.engine.output import Printed
from service.jobs.model import Job
from service.observe.logs import _First
from service.observe.reading import Reading, _LastOutput
from tests.support.clock import skipping_waits
from tests.support.samples import a_job


def test_an_empty_part_of_a_line_is_no_line_and_an_empty_line_is_one() -> None:
    part, line = Printed("stdout", "", 5, ends=False), Printed("stdout", "", 5)
    assert [line] == _First(5).of([part, line, Printed("stdout", "older", 4)])


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
            yield [Printed("stdout", str(number), number + 1)]
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
