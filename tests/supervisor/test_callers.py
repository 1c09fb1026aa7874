"""Who did this: what each event tells of the client that it was done for, and of no other."""

import contextvars
from collections.abc import Callable

import pytest

from observability.callers import CallContext
from service.errors import EngineRefused, EngineTimeout
from tests.supervisor.world import Asked, World, a_world, pass_time, until

ALICE, BOB = "10.0.0.1:1", "10.0.0.2:2"


class _Call:
    """What gRPC tells of a call."""

    def __init__(self, address: str) -> None:
        self._address = address

    def peer(self) -> str:
        return f"ipv4:{self._address}"

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("user-agent", f"agent of {self._address}"),)


def by(address: str, ask: Callable[[], Asked]) -> Asked:
    """What a client asks, in a task of its own."""
    context = contextvars.copy_context()
    context.run(CallContext, _Call(address))
    return context.run(ask)


def callers(world: World, event: str) -> list[str | None]:
    """Who is named by each event of a name; None is nobody."""
    told = [(entry.get("peer"), entry.get("user_agent")) for entry in world.logged(event)]
    assert all(agent == (f"agent of {peer}" if peer else None) for peer, agent in told)
    return [peer for peer, _ in told]


# Launches


async def test_a_launch_names_who_asked_first_and_a_dedup_who_asked_again(world: World) -> None:
    hold = world.faults.hold("start")
    first = by(ALICE, lambda: world.launching("a-1"))
    await hold.reached()
    second = by(BOB, lambda: world.launching("a-1"))
    await pass_time()
    hold.release()
    assert [0, 0] == [await first.answer(), await second.answer()]
    assert ([ALICE], [BOB]) == (callers(world, "job.launched"), callers(world, "launch.dedup"))


async def test_a_repeated_request_names_who_sent_it(world: World) -> None:
    await by(ALICE, lambda: world.launching("a-1"))
    job = world.registry.grouped("a-1")
    assert job is not None
    context = contextvars.copy_context()
    context.run(CallContext, _Call(BOB))
    assert context.run(world.supervisor.repeats, "a-1", job.fingerprint)
    assert [BOB] == callers(world, "launch.dedup")


async def test_a_launch_names_its_client_also_once_that_has_hung_up(world: World) -> None:
    hold = world.faults.hold("start")
    launch = by(ALICE, lambda: world.launching("a-1"))
    await hold.reached()
    launch.hang_up()
    hold.release()
    await until(lambda: world.states() == {"a-1": "running"})
    assert [ALICE] == callers(world, "job.launched")


async def test_a_job_without_an_image_names_who_asked_for_it(world: World) -> None:
    await by(ALICE, lambda: world.launching("a-1", "nothing"))
    assert [ALICE] == callers(world, "launch.no_image")


async def test_a_launch_that_is_given_up_names_its_caller_and_its_job(world: World) -> None:
    world.faults.fail("start", EngineTimeout("too long"), after=True)
    assert 504 == await by(ALICE, lambda: world.launching("a-1")).answer()
    await until(lambda: bool(world.logged("container.discarded")))
    (abandoned,), (discarded,) = map(world.logged, ("launch.abandoned", "container.discarded"))
    assert [ALICE] == callers(world, "launch.abandoned") == callers(world, "request.failed")
    for event in (abandoned, discarded):
        assert ("timer", "a-1") == (event["job"], event["identifier"])
    assert [None] == callers(world, "container.discarded")


# Refusals


@pytest.mark.parametrize(
    ("name", "identifier", "code"),
    [("", "a-1", 400), ("timer", "", 400), ("unknown", "a-1", 404), ("missing", "a-1", 422)],
)
async def test_a_refusal_names_who_was_refused(
    world: World, name: str, identifier: str, code: int
) -> None:
    assert code == await by(ALICE, lambda: world.launching(identifier, name)).answer()
    assert [ALICE] == callers(world, "request.failed")


async def test_what_is_refused_for_a_limit_names_who_was_refused() -> None:
    async with a_world(max_running_jobs=1) as world:
        await by(ALICE, lambda: world.launching("a-1"))
        assert 429 == await by(BOB, lambda: world.launching("a-2")).answer()
        assert [BOB] == callers(world, "request.failed")


async def test_a_refusal_that_two_share_names_both_and_is_counted_once(world: World) -> None:
    hold = world.faults.hold("start")
    first = by(ALICE, lambda: world.launching("a-1"))
    await hold.reached()
    second = by(BOB, lambda: world.launching("a-1"))
    await pass_time()
    hold.refuse(EngineRefused("cannot"))
    assert [502, 502] == [await first.answer(), await second.answer()]
    assert [ALICE, BOB] == callers(world, "request.failed")
    told = [
        (each["job"], each["identifier"], each["code"]) for each in world.logged("request.failed")
    ]
    assert [("timer", "a-1", 502)] * 2 == told
    assert {"failures": 1} == world.counted()


async def test_a_crash_names_whose_request_it_was_and_about_which_job(world: World) -> None:
    await by(ALICE, lambda: world.launching("a-1"))
    world.faults.fail("stop", KeyError("odd"))  # type: ignore[arg-type]
    assert 500 == await by(BOB, lambda: world.killing("a-1")).answer()
    (crash,) = world.logged("request.crashed")
    assert [BOB] == callers(world, "request.crashed")
    assert ("kill", "timer", "a-1") == (crash["operation"], crash["job"], crash["identifier"])


# Kills


async def test_a_kill_names_who_asked_for_it_and_so_does_the_end_of_the_job(world: World) -> None:
    await by(ALICE, lambda: world.launching("a-1"))
    await by(BOB, lambda: world.killing("a-1"))
    assert [BOB] == callers(world, "job.killed") == callers(world, "job.exited")
    assert ["kill"] == [event["operation"] for event in world.logged("job.killed")]


async def test_a_kill_that_two_share_is_that_of_the_first_and_the_second_is_told(
    world: World,
) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("stop")
    first = by(ALICE, lambda: world.killing("a-1"))
    await hold.reached()
    second = by(BOB, lambda: world.killing("a-1"))
    await pass_time()
    hold.release()
    assert [0, 0] == [await first.answer(), await second.answer()]
    assert [ALICE] == callers(world, "job.killed") == callers(world, "job.exited")
    (joined,) = world.logged("kill.joined")
    assert ("timer", "a-1") == (joined["job"], joined["identifier"])
    assert [BOB] == callers(world, "kill.joined")


async def test_a_kill_of_what_does_not_run_names_who_asked(world: World) -> None:
    await by(ALICE, lambda: world.killing("a-1"))
    assert [ALICE] == callers(world, "kill.not_running")


async def test_a_kill_of_everything_names_who_asked_at_each_job(world: World) -> None:
    for number in range(3):
        await by(ALICE, lambda: world.launching(f"a-{number}"))  # noqa: B023
    await by(BOB, world.killing_all)
    assert [BOB] == callers(world, "kill_all.started") == callers(world, "kill_all.ended")
    assert [BOB] * 3 == callers(world, "job.killed") == callers(world, "job.exited")
    assert ["kill_all"] * 3 == [event["operation"] for event in world.logged("job.killed")]


async def test_a_kill_of_everything_tells_once_what_others_kill_already(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("stop")
    first = by(ALICE, lambda: world.killing("a-1"))
    await hold.reached()
    everything = by(BOB, world.killing_all)
    await pass_time()
    hold.release()
    assert [0, 0] == [await first.answer(), await everything.answer()]
    assert [ALICE] == callers(world, "job.killed")
    assert [BOB] == callers(world, "kill_all.started")
    assert [] == world.logged("kill.joined")


async def test_a_kill_that_fails_names_who_asked(world: World) -> None:
    await world.launch("a-1")
    world.faults.fail("stop", EngineRefused("cannot"))
    assert 502 == await by(ALICE, lambda: world.killing("a-1")).answer()
    assert [ALICE] == callers(world, "request.failed")


async def test_a_kill_that_two_share_and_that_fails_names_both_and_is_counted_once(
    world: World,
) -> None:
    await world.launch("a-1")
    stop = world.faults.hold("stop")
    first = by(ALICE, lambda: world.killing("a-1"))
    await stop.reached()
    second = by(BOB, lambda: world.killing("a-1"))
    await pass_time()
    stop.refuse(EngineRefused("cannot"))
    assert [502, 502] == [await first.answer(), await second.answer()]
    assert [ALICE, BOB] == callers(world, "request.failed")
    told = [(each["operation"], each["identifier"]) for each in world.logged("request.failed")]
    assert [("kill", "a-1")] * 2 == told
    assert 1 == world.metric("supervisor_failures_total")


# Ends that nobody asked for


async def test_an_end_by_itself_names_nobody(world: World) -> None:
    await by(ALICE, lambda: world.launching("a-1"))
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: world.states() == {})
    assert [None] == callers(world, "job.exited")


async def test_an_end_after_a_kill_that_failed_names_nobody(world: World) -> None:
    await world.launch("a-1")
    world.faults.fail("stop", EngineRefused("cannot"))
    assert 502 == await by(ALICE, lambda: world.killing("a-1")).answer()
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: world.states() == {})
    assert ["error"] == [event["outcome"] for event in world.logged("job.exited")]
    assert [None] == callers(world, "job.exited")


async def test_an_end_that_a_failed_kill_left_to_look_into_names_nobody(world: World) -> None:
    """The look that closes the job is begun for the kill, and outlives it."""
    await world.launch("a-1")
    stop = world.faults.hold("stop")
    kill = by(ALICE, lambda: world.killing("a-1"))
    await stop.reached()
    world.host.exit(world.container("a-1").id, 1)
    await pass_time()
    stop.refuse(EngineRefused("cannot"))
    assert 502 == await kill.answer()
    await until(lambda: world.states() == {})
    assert ["error"] == [event["outcome"] for event in world.logged("job.exited")]
    assert [None] == callers(world, "job.exited")


async def test_an_end_just_before_a_kill_names_nobody(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("remove")
    world.host.exit(world.container("a-1").id, 3)
    await hold.reached()
    kill = by(ALICE, lambda: world.killing("a-1"))
    await pass_time()
    hold.release()
    assert 0 == await kill.answer()
    assert [None] == callers(world, "job.exited")
    assert [ALICE] == callers(world, "job.killed")


async def test_a_kill_names_who_asked_whoever_looks_at_the_container(world: World) -> None:
    """Here the look began before the kill, for an event."""
    await world.launch("a-1")
    look = world.faults.hold("inspect", after=True)
    world.host.pause(world.container("a-1").id)
    await look.reached()
    kill = by(ALICE, lambda: world.killing("a-1"))
    await until(lambda: not world.running())
    await pass_time(0.5)  # less than a look may take, or it would be made anew
    look.release()
    assert 0 == await kill.answer()
    assert ["killed"] == [event["outcome"] for event in world.logged("job.exited")]
    assert [ALICE] == callers(world, "job.exited")


async def test_a_second_kill_is_not_put_down_to_the_first_that_failed(world: World) -> None:
    await world.launch("a-1")
    world.faults.fail("stop", EngineRefused("cannot"))
    assert 502 == await by(ALICE, lambda: world.killing("a-1")).answer()
    await by(BOB, lambda: world.killing("a-1"))
    assert [BOB] == callers(world, "job.exited") == callers(world, "job.killed")
