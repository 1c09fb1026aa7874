"""Who ended a container: what others did past the supervisor is told, and nothing else is."""

import asyncio
import time
from signal import SIGHUP, SIGKILL, SIGTERM, SIGURG, SIGWINCH

import pytest

from service.errors import EngineRefused, EngineTimeout, EngineUnavailable
from service.lifecycle.exit_hints import Signals
from tests.supervisor.world import NOTICE, World, pass_time, until

BY_OTHERS = "supervisor_exits_by_others_total"
EARLY = "supervisor_early_exits_total"
IDLE = 10.0  # a stream that is cut off after it is no sign of an Engine that is away


async def ended(world: World, *, within: float = NOTICE) -> tuple[str, str | None, str | None]:
    """The outcome of the only job, and who has ended it with which signal."""
    await until(lambda: world.states() == {}, within=within)
    [entry] = world.logged("job.exited")
    by = entry.get("by")
    assert float(by is not None) == world.metric(BY_OTHERS)
    return entry["outcome"], by, entry.get("signal")


@pytest.mark.parametrize(
    ("name", "signal", "code", "outcome"),
    [
        ("timer", SIGKILL, 137, "error"),
        ("timer", SIGTERM, 143, "error"),
        ("timer", SIGTERM, 0, "ended"),
        ("timer", SIGHUP, 1, "error"),
        ("webhook", SIGTERM, 0, "success"),
        ("mail", SIGKILL, 137, "error"),
    ],
)
async def test_a_signal_before_the_exit_is_somebody_elses(
    world: World, name: str, signal: int, code: int, outcome: str
) -> None:
    await world.launch("a-1", name)
    container_id = world.host.live[0].id
    world.host.signal(container_id, signal)
    world.host.exit(container_id, code)
    assert (outcome, "others", type(SIGKILL)(signal).name) == await ended(world)
    [entry] = world.logged("job.exited")
    assert "warning" == entry["log_level"]
    assert 1 == world.metric(BY_OTHERS, job_name=name)


async def test_a_removal_by_force_is_somebody_elses(world: World) -> None:
    await world.launch("a-1")
    await world.host.remove(world.container("a-1").id, force=True)
    assert ("error", "others", "SIGKILL") == await ended(world)


async def test_the_last_of_several_signals_counts(world: World) -> None:
    await world.launch("a-1", stubborn=1)
    container_id = world.host.live[0].id
    await world.host.stop(container_id, 1)
    assert ("error", "others", "SIGKILL") == await ended(world)


@pytest.mark.parametrize(("number", "name"), [(0, None), (64 + 1, "65")])
async def test_a_signal_that_nobody_knows_is_one_all_the_same(
    world: World, number: int, name: str | None
) -> None:
    await world.launch("a-1")
    container_id = world.host.live[0].id
    world.host.signal(container_id, number)
    world.host.exit(container_id, 1)
    assert ("error", "others", name) == await ended(world)


async def test_one_that_comes_while_the_answer_to_start_is_on_its_way_is_told(
    world: World,
) -> None:
    hold = world.faults.hold("start", after=True)
    launch = world.launching("a-1")
    await hold.reached()
    world.host.kill(world.container("a-1").id)
    await pass_time()
    hold.release()
    assert 0 == await launch.answer()
    assert ("error", "others", "SIGKILL") == await ended(world)


async def test_a_sigkill_by_others_explains_itself_and_nothing_is_waited_for(world: World) -> None:
    await world.launch("a-1")
    began = asyncio.get_running_loop().time()
    world.host.kill(world.container("a-1").id)
    await until(lambda: world.states() == {})
    assert asyncio.get_running_loop().time() - began < 0.2


# What is nobody else's doing


@pytest.mark.parametrize("code", [0, 1, 134, 137, 143])
async def test_an_exit_without_a_signal_is_the_workers_own(world: World, code: int) -> None:
    """Also where it has killed itself, or was killed past the Engine."""
    await world.launch("a-1")
    world.host.exit(world.container("a-1").id, code)
    assert (None, None) == (await ended(world))[1:]


@pytest.mark.parametrize("stubborn", [False, True])
async def test_our_own_kill_is_nobody_elses(world: World, *, stubborn: bool) -> None:
    await (world.launch("a-1", stubborn=1) if stubborn else world.launch("a-1"))
    await world.kill("a-1")
    assert ("killed", None, None) == await ended(world)


async def test_what_a_failed_kill_has_sent_may_work_late(world: World) -> None:
    await world.launch("a-1")
    for _ in range(9):
        world.faults.fail("stop", EngineTimeout("slow"))
    assert 504 == await world.killing("a-1").answer()
    world.host.kill(world.container("a-1").id, SIGTERM)
    assert ("error", None, None) == await ended(world)


async def test_the_signal_of_a_kill_that_fails_is_ours(world: World) -> None:
    await world.launch("a-1")
    stop = world.faults.hold("stop")
    killing = world.killing("a-1")
    await stop.reached()
    container_id = world.host.live[0].id
    world.host.signal(container_id, SIGTERM)
    await pass_time(1)
    stop.refuse(EngineRefused("no"))
    assert 502 == await killing.answer()
    world.host.exit(container_id, 1)
    assert ("error", None, None) == await ended(world)


async def test_a_signal_long_after_a_failed_kill_is_somebody_elses(world: World) -> None:
    await world.launch("a-1")
    world.faults.fail("stop", EngineTimeout("slow"))
    assert 504 == await world.killing("a-1").answer()
    await pass_time(601)
    world.host.kill(world.container("a-1").id, SIGTERM)
    assert ("error", "others", "SIGTERM") == await ended(world)


@pytest.mark.parametrize("signal", [SIGWINCH, SIGURG])
async def test_a_signal_that_ends_nothing_is_no_reason(world: World, signal: int) -> None:
    await world.launch("a-1")
    container_id = world.host.live[0].id
    world.host.signal(container_id, signal)
    world.host.exit(container_id, 1)
    assert ("error", None, None) == await ended(world)


async def test_a_signal_that_was_borne_is_no_reason_a_minute_later(world: World) -> None:
    await world.launch("a-1")
    container_id = world.host.live[0].id
    world.host.signal(container_id, SIGHUP)
    await pass_time(61)
    world.host.exit(container_id, 1)
    assert ("error", None, None) == await ended(world)


async def test_want_of_memory_is_nobody_elses(world: World) -> None:
    await world.launch("a-1")
    container_id = world.host.live[0].id
    world.host.signal(container_id, SIGTERM)
    world.host.exit(container_id, 137, oom_killed=True)
    assert ("oom", None, None) == await ended(world)


@pytest.mark.parametrize(
    ("name", "code"), [("timer", 143), ("timer", 0), ("webhook", 0), ("mail", 0)]
)
async def test_an_engine_that_is_leaving_ends_its_containers_itself(
    world: World, name: str, code: int
) -> None:
    await world.launch("a-1", name)
    world.engine.departing = True
    [container] = world.host.live
    world.host.signal(container.id, SIGTERM)
    world.host.exit(container.id, code)
    assert ("lost", None, None) == await ended(world)


@pytest.mark.parametrize(("name", "code"), [("timer", 0), ("timer", 1), ("webhook", 0)])
async def test_an_engine_that_has_left_and_is_back_before_it_is_asked_has_ended_them_itself(
    world: World, name: str, code: int
) -> None:
    await world.launch("a-1", name)
    await pass_time(IDLE)
    [container] = world.host.live
    world.engine.latency = lambda: 0.5
    world.host.signal(container.id, SIGTERM)
    world.host.exit(container.id, code)
    await pass_time(0.1)
    world.engine.disconnect()
    assert ("lost", None, None) == await ended(world, within=IDLE)
    assert [] == world.logged("engine.away")


@pytest.mark.parametrize(("name", "code"), [("timer", 0), ("timer", 1), ("webhook", 0)])
async def test_an_engine_that_has_left_and_is_back_before_it_tells_of_the_end_likewise(
    world: World, name: str, code: int
) -> None:
    await world.launch("a-1", name)
    await pass_time(IDLE)
    [container] = world.host.live
    world.host.signal(container.id, SIGTERM)
    await pass_time(0.1)
    world.engine.disconnect()
    world.host.exit(container.id, code)
    assert ("lost", None, None) == await ended(world, within=IDLE)
    assert [] == world.logged("engine.away")


async def test_an_engine_that_is_leaving_is_heard_out(world: World) -> None:
    await world.launch("a-1", "webhook")
    [container] = world.host.live
    world.engine.departing = True
    await until(lambda: not world.readiness.ready)
    await pass_time(8)
    world.host.signal(container.id, SIGTERM)
    world.host.exit(container.id, 0)
    await pass_time()
    assert {} == world.listed()
    world.engine.disconnect()
    world.engine.departing = False
    assert ("lost", None, None) == await ended(world)
    await world.ready()


async def test_an_engine_that_takes_connections_again_is_back(world: World) -> None:
    world.engine.departing = True
    await until(lambda: not world.readiness.ready)
    await pass_time(8)
    world.engine.departing = False
    await world.ready()
    assert 1 == world.metric("supervisor_event_stream_reconnects_total")


async def test_an_engine_that_leaves_for_long_before_anybody_looks_likewise(world: World) -> None:
    await world.launch("a-1", "webhook")
    [container] = world.host.live
    world.engine.departing = True
    world.faults.fail("inspect", EngineUnavailable("away"), times=9)
    world.host.signal(container.id, SIGTERM)
    world.host.exit(container.id, 0)
    await pass_time(0.1)
    world.engine.go_away()
    await pass_time(100)
    world.faults.clear()
    world.engine.departing = False
    world.engine.come_back()
    assert ("lost", None, None) == await ended(world)


async def test_an_end_that_a_gap_hides_is_lost_and_nobody_elses(world: World) -> None:
    await world.launch("a-1")
    world.engine.go_away()
    world.host.kill(world.container("a-1").id)
    world.engine.come_back()
    assert ("lost", None, None) == await ended(world)


async def test_a_signal_to_a_copy_is_not_one_to_the_job(world: World) -> None:
    """As `docker commit` and `docker run` make one."""
    await world.launch("a-1")
    copy = world.put("copy", dict(world.container("a-1").spec.labels))
    world.host.kill(copy.id)
    await pass_time()
    world.host.exit(world.container("a-1").id, 1)
    assert ("error", None, None) == await ended(world)


async def test_what_was_restarted_ends_for_its_own_reasons(development: World) -> None:
    world = development
    await world.launch("a-1")
    container_id = world.container("a-1-1").id
    world.host.kill(container_id, SIGTERM)
    world.host.start(container_id)
    await until(lambda: world.states() == {"a-1": "running"}, within=NOTICE)
    await pass_time()
    world.host.exit(container_id, 1)
    assert ("error", None, None) == await ended(world)


async def test_signals_are_not_remembered_for_ever(world: World) -> None:
    await world.launch("a-1")
    for number in range(9):
        await world.launch(f"b-{number}")
        world.host.signal(world.container(f"b-{number}").id, SIGHUP)
    await pass_time(61)
    world.host.signal(world.container("a-1").id, SIGHUP)
    await pass_time()
    assert 1 == len(world.watcher.events.signals._sent)
    world.host.exit(world.container("a-1").id, 1)
    await pass_time()
    assert 0 == len(world.watcher.events.signals._sent)


async def test_signals_for_thousands_at_once_hold_up_nobody() -> None:
    """As of a `docker kill` of everything: to look through all of them for each took 20 s."""
    signals = Signals()
    began = time.process_time()
    for number in range(15_000):
        signals.note(f"container {number}", SIGKILL)
    assert time.process_time() - began < 3


# Soon after the start


@pytest.mark.parametrize(
    ("name", "code", "after", "counted"),
    [
        ("timer", 1, 0, 1),
        ("timer", 134, 9, 1),
        ("timer", 0, 0, 1),
        ("mail", 1, 0, 1),
        ("mail", 0, 0, 0),
        ("webhook", 0, 0, 0),
        ("timer", 1, 11, 0),
        ("mail", 1, 11, 0),
    ],
)
async def test_a_bad_end_soon_after_the_start_is_counted(
    world: World, name: str, code: int, after: float, counted: int
) -> None:
    await world.launch("a-1", name)
    container = world.host.live[0]
    container.started_at -= after
    world.host.exit(container.id, code)
    await until(lambda: world.states() == {})
    assert counted == world.metric(EARLY) == world.metric(EARLY, job_name=name)


async def test_want_of_memory_soon_after_the_start_is_counted(world: World) -> None:
    await world.launch("a-1", eat=1)
    await until(lambda: world.states() == {})
    assert 1 == world.metric(EARLY, job_name="timer")


async def test_what_is_killed_soon_after_its_start_has_not_ended_badly(world: World) -> None:
    await world.launch("a-1")
    await world.kill("a-1")
    await world.launch("a-2")
    world.host.kill(world.container("a-2").id)
    await until(lambda: world.states() == {})
    assert 0 == world.metric(EARLY)


async def test_what_an_engine_takes_along_soon_after_its_start_has_not_ended_badly(
    world: World,
) -> None:
    await world.launch("a-1")
    world.engine.departing = True
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: world.states() == {})
    assert 0 == world.metric(EARLY)
