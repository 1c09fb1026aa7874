"""The interpreter as the service sets it up."""

import asyncio
import gc
from collections.abc import Iterator

import pytest
import uvloop

from service.app import event_loop


@pytest.fixture
def collections_as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    gc.enable()


@pytest.mark.usefixtures("collections_as_before")
def test_garbage_is_collected_again_once_the_start_is_over() -> None:
    gc.disable()  # as for the start
    event_loop.tune_garbage_collection()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000  # what was made so far is not looked at again
    assert gc.get_threshold()[0] > 700


def test_a_loop_that_cannot_be_closed_does_not_hide_the_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really_close = asyncio.Runner.close

    def close(runner: asyncio.Runner) -> None:
        really_close(runner)
        raise OSError("no more files")

    async def work() -> bool:
        return isinstance(asyncio.get_running_loop(), uvloop.Loop)

    monkeypatch.setattr(asyncio.Runner, "close", close)
    assert event_loop.run(work())
