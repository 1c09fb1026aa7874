import time
from collections.abc import AsyncIterator
from itertools import islice

import pytest

from service.errors import (
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    SupervisorError,
)
from service.support import retry as module
from service.support.retry import Backoff, retry
from tests.support.clock import skipping_waits


@pytest.fixture(autouse=True)
async def _no_wait_takes_time() -> AsyncIterator[None]:
    with skipping_waits():
        yield


class Call:
    """Fails as it is told, then succeeds."""

    def __init__(self, *failures: SupervisorError) -> None:
        self._failures = list(failures)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self._failures:
            raise self._failures.pop(0)
        return "done"


AWAY = EngineUnavailable("away")
FALTERED = EngineFailed("task already exists")


async def test_what_succeeds_is_called_once() -> None:
    call = Call()
    assert ("done", 1) == (await retry(call), call.calls)


async def test_while_the_engine_is_away_it_is_called_again() -> None:
    call = Call(AWAY, AWAY)
    assert ("done", 3) == (await retry(call), call.calls)


async def test_an_engine_that_falters_is_asked_again() -> None:
    call = Call(FALTERED, FALTERED, AWAY, FALTERED)
    assert ("done", 5) == (await retry(call), call.calls)


async def test_an_engine_that_keeps_faltering_is_not_asked_for_ever() -> None:
    call = Call(*[FALTERED] * 9)
    with pytest.raises(EngineFailed):
        await retry(call)
    assert 4 == call.calls


@pytest.mark.parametrize("error", [EngineRefused("no"), EngineTimeout("slow")])
async def test_any_other_failure_is_final(error: SupervisorError) -> None:
    call = Call(error)
    with pytest.raises(type(error)):
        await retry(call)
    assert 1 == call.calls


async def test_another_failure_after_a_gap_is_final() -> None:
    call = Call(AWAY, EngineRefused("no"))
    with pytest.raises(EngineRefused, match="no"):
        await retry(call)
    assert 2 == call.calls


async def test_in_the_end_it_gives_up_with_the_engines_own_error() -> None:
    began = time.monotonic()
    with pytest.raises(EngineUnavailable, match=r"^away$"):
        await retry(Call(*[AWAY] * 1000))
    assert 5 <= time.monotonic() - began < 6


async def test_the_patience_counts_from_the_first_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GAP_SECONDS", 0.0)
    call = Call(AWAY)
    with pytest.raises(EngineUnavailable):
        await retry(call)
    assert 1 == call.calls


async def test_the_patience_may_be_shorter_and_change_meanwhile() -> None:
    patient = False
    began = time.monotonic()
    call = Call(*[AWAY] * 1000)
    with pytest.raises(EngineUnavailable):
        await retry(call, away_limit=lambda: 2.0 if patient else 0.3)
    assert 0.3 <= time.monotonic() - began < 2
    began, patient = time.monotonic(), True
    with pytest.raises(EngineUnavailable):
        await retry(call, away_limit=lambda: 2.0 if patient else 0.3)
    assert 2 <= time.monotonic() - began < 20


def test_pauses_grow_up_to_a_bound() -> None:
    assert [1, 2, 4, 5, 5] == list(islice(Backoff(1, 5), 5))
