"""Gaps in what the Engine reports: the registry is right after each, and readiness says so."""

from service.errors import EngineTimeout
from tests.supervisor.world import NOTICE, World, pass_time, until

COMPARE = 30.0
IDLE = 10.0


async def test_what_exits_while_disconnected_is_lost_and_can_be_launched_again(
    world: World,
) -> None:
    await world.launch("a-1")
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    world.host.exit(world.container("a-1").id, 0)
    assert {"a-1": "running"} == world.states()  # the last known state
    world.engine.come_back()
    await world.ready()
    assert ({}, []) == (world.states(), world.left())
    assert {"lost": 1} == world.outcomes("supervisor_exits_total")
    await world.launch("a-1")
    assert ["a-1"] == world.running()


async def test_what_vanishes_while_disconnected_is_lost(world: World) -> None:
    await world.launch("a-1")
    await world.launch("a-2")
    world.engine.go_away()
    await world.host.remove(world.container("a-1").id, force=True)
    world.engine.come_back()
    await until(lambda: world.states() == {"a-2": "running"})
    assert {"lost": 1} == world.outcomes("supervisor_exits_total")
    assert 1 == len(world.logged("job.exited"))


async def test_what_is_started_again_while_disconnected_runs_on(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("remove")
    world.host.exit(world.container("a-1").id, 0)
    await hold.reached()
    world.engine.go_away()
    world.host.start(world.container("a-1").id)
    world.engine.come_back()
    await until(lambda: world.states() == {"a-1": "running"})
    assert ["a-1"] == world.running()


async def test_an_exit_in_a_gap_that_the_listing_does_not_show_yet_is_noticed(world: World) -> None:
    await world.launch("a-1", "webhook")
    await world.launch("a-2")
    world.engine.disconnect()
    exited = world.container("a-1")
    exited.unsettled = True
    world.host.exit(exited.id, 0)
    await until(lambda: world.states() == {"a-2": "running"})
    assert {"success": 1} == world.outcomes("supervisor_exits_total")
    assert ["a-2"] == world.left()


async def test_a_gap_while_a_launch_is_under_way_ends_without_it(world: World) -> None:
    hold = world.faults.hold("start")
    launch = world.launching("a-1")
    await hold.reached()
    world.engine.disconnect()
    await until(lambda: not world.readiness.ready)
    await world.ready()
    hold.release()
    assert 0 == await launch.answer()


async def test_a_stream_that_ends_is_taken_up_again(world: World) -> None:
    await world.launch("a-1")
    world.engine.disconnect()
    world.host.exit(world.container("a-1").id, 0)
    await until(lambda: world.states() == {} and world.readiness.ready)
    assert 1 == world.metric("supervisor_event_stream_reconnects_total")


async def test_a_stream_that_is_cut_off_for_being_idle_costs_no_readiness(world: World) -> None:
    await world.launch("a-1")
    await world.launch("a-2")
    heard: list[bool] = []
    world.readiness.subscribe(heard.append)
    for count in (1, 2):
        await pass_time(IDLE)
        world.engine.disconnect()
        if count == 1:  # what nobody hears of, though the Engine was there
            world.host.exit(world.container("a-1").id, 3)
        await until(
            lambda n=count: n == world.metric("supervisor_event_stream_reconnects_total")  # type: ignore[misc]
        )
    await until(lambda: world.states() == {"a-2": "running"})
    assert [] == heard
    assert [] == world.logged("engine.away")
    assert 1 == len(world.logged("engine.in_step"))
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_a_stream_that_ends_again_and_again_at_once_is_an_engine_in_trouble(
    world: World,
) -> None:
    await pass_time(IDLE)
    world.engine.disconnect()
    await until(lambda: 1 == world.metric("supervisor_event_stream_reconnects_total"))
    world.engine.disconnect()
    await until(lambda: not world.readiness.ready)
    await world.ready()


async def test_a_stream_that_ends_with_its_engine_is_a_fall(world: World) -> None:
    await pass_time(IDLE)
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    assert 1 == len(world.logged("engine.away"))


async def test_an_engine_that_hangs_is_noticed_within_five_seconds(world: World) -> None:
    await world.launch("a-1")
    assert 1 == world.metric("supervisor_engine_up")
    world.engine.hang()
    await until(lambda: not world.readiness.ready, within=5)
    assert 0 == world.metric("supervisor_engine_up")
    world.host.exit(world.container("a-1").id, 0)
    world.engine.wake()
    await until(lambda: world.states() == {} and world.readiness.ready, within=15)
    assert 1 == world.metric("supervisor_engine_up")


async def test_an_engine_that_answers_and_cannot_start_anything_is_noticed(world: World) -> None:
    """As it is when its containerd hangs."""
    hold = world.faults.hold("deep ping")
    await hold.reached()
    await until(lambda: not world.readiness.ready, within=3)
    assert 0 == world.metric("supervisor_engine_up")
    hold.release()
    await world.ready()


async def test_an_event_that_got_lost_is_made_good_by_the_comparison(world: World) -> None:
    await world.launch("a-1")
    listeners = list(world.host.listeners)
    world.host.listeners.clear()
    world.host.exit(world.container("a-1").id, 0)
    world.host.listeners.extend(listeners)
    await until(lambda: world.states() == {}, within=COMPARE + NOTICE)
    assert [] == world.left()
    await pass_time()
    assert 1 == world.metric("supervisor_event_stream_reconnects_total")  # it may be dead
    assert world.readiness.ready


async def test_a_stream_that_has_gone_quiet_is_replaced_at_once(world: World) -> None:
    await world.launch("a-1")
    listeners = list(world.host.listeners)
    world.host.listeners.clear()
    world.host.exit(world.container("a-1").id, 0)
    world.host.listeners.extend(listeners)
    await until(lambda: not world.readiness.ready, within=COMPARE + NOTICE)
    await until(lambda: world.readiness.ready, within=0.9)  # no ping later


async def test_an_event_that_is_late_among_others_is_no_reason_to_connect_again(
    world: World,
) -> None:
    await world.launch("a-1")
    comparison = world.faults.hold("list")
    await comparison.reached()
    listeners = list(world.host.listeners)
    world.host.listeners.clear()
    world.host.exit(world.container("a-1").id, 0)
    world.host.listeners.extend(listeners)
    comparison.release()
    await world.launch("a-2")
    await pass_time(2 * COMPARE)
    assert {"a-2": "running"} == world.states()
    assert 0 == world.metric("supervisor_event_stream_reconnects_total")


async def test_what_ends_while_a_listing_is_on_its_way_is_no_orphan(world: World) -> None:
    await world.launch("a-1")
    removal, comparison = world.faults.hold("remove"), world.faults.hold("list", after=True)
    await pass_time(COMPARE - 1)
    world.host.exit(world.container("a-1").id, 0)
    await comparison.reached()  # it lists one that has exited
    removal.release()
    await until(lambda: world.states() == {})
    comparison.release()
    await pass_time()
    assert [] == world.logged("orphan.found")
    assert 0 == world.metric("supervisor_orphans")


async def test_a_listing_tells_nothing_of_what_was_launched_after_it(world: World) -> None:
    hold = world.faults.hold("list", after=True)
    await hold.reached()
    await world.launch("a-1")
    world.host.listeners.clear()
    world.host.exit(world.container("a-1").id, 0)
    hold.release()
    await pass_time()
    assert 0 == world.metric("supervisor_event_stream_reconnects_total")
    assert world.readiness.ready


async def test_comparing_alone_is_no_reason_to_connect_again(world: World) -> None:
    for number in range(20):
        await world.launch(f"a-{number}")
        await pass_time(5)
    world.host.exit(world.container("a-1").id, 0)
    await world.kill("a-2")
    await pass_time(2 * COMPARE)
    assert 0 == world.metric("supervisor_event_stream_reconnects_total")


async def test_one_container_that_makes_trouble_does_not_stop_the_comparison(world: World) -> None:
    for n in range(3):
        await world.launch(f"a-{n}")
    world.engine.go_away()
    for n in range(3):
        world.host.exit(world.container(f"a-{n}").id, 0)
    world.faults.fail("remove", EngineTimeout("too long"))
    world.faults.fail("set aside", EngineTimeout("too long"))
    world.engine.come_back()
    await until(lambda: len(world.states()) == 1 and world.readiness.ready)
    await until(lambda: world.states() == {}, within=COMPARE + NOTICE)
