"""An engine that has no events, and can do only what every engine has to do."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.errors import EngineFailed
from tests.fake_engine.polled import PolledEngine
from tests.supervisor.world import NOTICE, TRIES, World, a_world, is_live, pass_time, until


@pytest.fixture
async def polled() -> AsyncIterator[World]:
    """A ready supervisor whose engine has no events."""
    async with a_world(engine=PolledEngine) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "code", "outcome"),
    [
        ("webhook", 0, "success"),
        ("webhook", 3, "lost"),
        ("timer", 0, "lost"),
        ("mail", 0, "success"),
    ],
)
async def test_an_end_is_noticed_and_nobody_has_seen_why_it_came(
    polled: World, name: str, code: int, outcome: str
) -> None:
    await polled.launch("a-1", name)
    (container,) = polled.host.live
    polled.host.exit(container.id, code)
    await until(lambda: polled.states() == {}, within=NOTICE)
    assert {outcome: 1} == polled.outcomes("supervisor_exits_total")
    (told,) = polled.logged("job.exited")
    assert code == told["exit_code"]
    assert [] == polled.left()


async def test_an_end_between_the_launch_and_the_next_listing_is_noticed(polled: World) -> None:
    await polled.launch("a-1", "webhook", exit="0")
    await until(lambda: polled.states() == {}, within=NOTICE)
    assert {"success": 1} == polled.outcomes("supervisor_exits_total")


@pytest.mark.parametrize(("age", "within"), [(1.0, NOTICE), (0.0, 40.0)], ids=["listed", "never"])
async def test_what_somebody_removes_is_lost(polled: World, age: float, within: float) -> None:
    """What was never listed is only missed by the next comparison."""
    await polled.launch("a-1")
    await pass_time(age)
    await polled.host.remove(polled.container("a-1").id, force=True)
    await until(lambda: polled.states() == {}, within=within)
    assert {"lost": 1} == polled.outcomes("supervisor_exits_total")


async def test_an_end_for_want_of_memory_is_not_claimed_and_nothing_waits_for_it(
    polled: World,
) -> None:
    await polled.launch("a-1")
    polled.host.exit(polled.container("a-1").id, 137, oom_killed=True)
    await until(lambda: polled.states() == {}, within=NOTICE)
    assert {"lost": 1} == polled.outcomes("supervisor_exits_total")


@pytest.mark.parametrize(("stubborn", "outcome"), [({}, "stopped"), ({"stubborn": 1}, "forced")])
async def test_a_kill_is_a_kill(polled: World, stubborn: dict[str, int], outcome: str) -> None:
    await polled.launch("a-1", "timer", **stubborn)
    await polled.kill("a-1")
    assert {"killed": 1} == polled.outcomes("supervisor_exits_total")
    assert {outcome: 1} == polled.outcomes("supervisor_kills_total")
    assert [] == polled.left()
    await polled.launch("a-1")


async def test_what_a_third_party_starts_again_is_live_again() -> None:
    async with a_world(engine=PolledEngine, keep=True) as polled:
        await polled.launch("a-1")
        container = polled.container("a-1-1")
        polled.host.exit(container.id, 1)
        await until(lambda: polled.states() == {}, within=NOTICE)
        polled.host.start(container.id)
        await until(lambda: polled.states() == {"a-1": "running"}, within=NOTICE)


async def test_a_container_that_cannot_be_removed_keeps_its_name(polled: World) -> None:
    await polled.launch("a-1")
    await pass_time()  # it is listed
    polled.faults.fail("remove", EngineFailed("device busy"), times=TRIES)
    kill = polled.killing("a-1")
    assert 502 == await kill.answer()
    assert kill.error is not None
    assert "device busy" == kill.error.message
    assert (0, []) == (polled.engine.calls["set aside"], polled.logged("container.set_aside"))
    await until(lambda: polled.states() == {}, within=40)  # it is tried again
    assert [] == polled.left()


async def test_what_a_comparison_finds_is_no_sign_of_a_dead_stream(polled: World) -> None:
    assert isinstance(polled.engine, PolledEngine)
    await pass_time()
    polled.engine.interval = 600.0
    await polled.launch("a-1")
    await polled.launch("a-2")
    await pass_time()
    polled.host.exit(polled.container("a-1").id, 1)
    ready = asyncio.create_task(_stays_ready(polled))
    await until(lambda: polled.states() == {"a-2": "running"}, within=40)
    assert not ready.done()
    ready.cancel()
    assert 0 == polled.metric("supervisor_event_stream_reconnects_total")


async def test_an_engine_that_goes_away_is_noticed_and_followed_again(polled: World) -> None:
    await polled.launch("a-1")
    polled.engine.go_away()
    await until(lambda: not polled.readiness.ready, within=5)
    polled.host.exit(polled.container("a-1").id, 0)
    polled.engine.come_back()
    await polled.ready()
    await until(lambda: polled.states() == {}, within=NOTICE)
    await polled.launch("a-1")
    assert is_live(polled.container("a-1"))


async def test_a_container_of_ours_that_turns_up_is_taken_over(polled: World) -> None:
    await polled.launch("a-1")
    labels = dict(polled.container("a-1").spec.labels)
    await polled.kill("a-1")
    polled.put("a-1", labels)
    await until(lambda: polled.states() == {"a-1": "running"}, within=NOTICE)


async def _stays_ready(world: World) -> None:
    """Ends once the engine is not followed any more."""
    while world.readiness.ready:  # noqa: ASYNC110 - readiness tells its listeners only
        await asyncio.sleep(0.01)
