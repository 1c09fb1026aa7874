"""What a launch has to fetch before it can start takes up no slot, and holds up nobody else."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.errors import EngineRefused
from service.support.retry import GAP_SECONDS
from tests.supervisor.world import World, a_world, pass_time, until


@pytest.fixture
async def pulling() -> AsyncIterator[World]:
    """A supervisor whose engine fetches images, and starts one workload at a time."""
    async with a_world(max_launches_under_way=1, max_launches_waiting=2) as world:
        world.engine.capabilities = replace(world.engine.capabilities, prepare=world.engine.pull)
        world.host.registry.add("missing")
        yield world


async def test_an_image_is_fetched_before_the_launch_and_only_once(pulling: World) -> None:
    await pulling.launch("a-1", "missing")
    await pulling.launch("a-2", "missing")
    assert (["a-1", "a-2"], 1) == (pulling.running(), pulling.engine.calls["pull"])


async def test_a_launch_that_fetches_its_image_takes_up_no_slot(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    fetching = pulling.launching("a-1", "missing")
    await hold.reached()
    await pulling.launch("a-2")
    await pulling.kill("a-2")
    assert {"a-1": "starting"} == pulling.states()
    hold.release()
    assert 0 == await fetching.answer()
    assert ["a-1"] == pulling.running()


async def test_it_has_no_time_limit_of_the_launch() -> None:
    async with a_world(launch_timeout_seconds=1.0) as world:
        world.engine.capabilities = replace(world.engine.capabilities, prepare=world.engine.pull)
        world.host.registry.add("missing")
        world.faults.delay("pull", 30.0)
        assert 0 == await world.launching("a-1", "missing").answer()


async def test_it_counts_among_the_launches_that_wait(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    fetching = pulling.launching("a-1", "missing")
    await hold.reached()
    busy = pulling.faults.hold("create")
    begun = [pulling.launching("a-2"), pulling.launching("a-3")]
    await busy.reached()
    assert 429 == await pulling.launching("a-4").answer()
    busy.release()
    hold.release()
    assert [0, 0, 0] == [await each.answer() for each in (fetching, *begun)]


async def test_who_asks_meanwhile_shares_the_launch(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    asked = [pulling.launching("a-1", "missing") for _ in range(3)]
    await hold.reached()
    hold.release()
    assert [0, 0, 0] == [await each.answer() for each in asked]
    assert {"launches": 1, "dedups": 2} == pulling.counted()


async def test_what_nobody_waits_for_any_more_is_not_launched(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    launch = pulling.launching("a-1", "missing")
    await hold.reached()
    launch.hang_up()
    await until(lambda: pulling.states() == {})
    hold.release()
    await pass_time()
    assert ([], {}) == (pulling.left(), pulling.counted())


async def test_what_cannot_be_fetched_is_an_error_and_leaves_nothing(pulling: World) -> None:
    pulling.host.registry.clear()
    assert 422 == await pulling.launching("a-1", "missing").answer()
    pulling.faults.fail("pull", EngineRefused("not allowed"))
    assert 502 == await pulling.launching("a-1", "missing").answer()
    assert ([], {}, {"failures": 2}) == (pulling.left(), pulling.states(), pulling.counted())
    await pulling.launch("a-1")


async def test_an_engine_that_is_back_in_time_is_asked_again(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    launch = pulling.launching("a-1", "missing")
    await hold.reached()
    pulling.engine.go_away()
    await until(lambda: not pulling.readiness.ready)
    pulling.engine.come_back()
    assert 0 == await launch.answer()
    assert pulling.engine.calls["pull"] >= 2


async def test_an_engine_that_stays_away_is_a_503(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    launch = pulling.launching("a-1", "missing")
    await hold.reached()
    pulling.engine.go_away()
    await pass_time(2 * GAP_SECONDS)
    assert (True, 503) == (launch.done, await launch.answer())


async def test_a_process_that_stops_does_not_wait_for_it(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    launch = pulling.launching("a-1", "missing")
    await hold.reached()
    pulling.readiness.drain()
    assert 503 == await launch.answer()
    assert {} == pulling.states()


async def test_an_engine_that_fetches_nothing_is_not_asked_to(world: World) -> None:
    world.host.registry.add("missing")
    assert 422 == await world.launching("a-1", "missing").answer()
    assert 0 == world.engine.calls["pull"]
