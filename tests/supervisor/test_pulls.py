"""A pull takes up no slot, holds up nobody else, is shared, and ends when nobody wants it."""

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from service.engine.capabilities import PullProgress
from service.errors import (
    EngineError,
    EngineTimeout,
    EngineUnavailable,
    ImageMissing,
    RegistryAway,
    RegistryDenied,
    RegistryLimited,
)
from service.lifecycle.image_pulls import PROGRESS_SECONDS, Image, Progress
from service.support.retry import GAP_SECONDS
from tests.fake_engine.faults import Hold
from tests.supervisor.world import IMAGE, Asked, World, a_world, pass_time, until


@pytest.fixture
async def pulling() -> AsyncIterator[World]:
    """A supervisor that starts one workload at a time, and a registry with two images."""
    async with a_world(max_launches_under_way=1, max_launches_waiting=3, max_pulls=1) as world:
        world.host.registry |= {"far", "farther", IMAGE}
        yield world


def pulls(world: World) -> dict[str, float]:
    """How the pulls went."""
    return world.outcomes("supervisor_pull_duration_seconds_count")


def in_progress(world: World) -> tuple[float, ...]:
    states = ("under_way", "waiting", "limit")
    return tuple(world.metric("supervisor_pulls_in_progress", state=each) for each in states)


async def sharing(world: World, *identifiers: str) -> tuple[Hold, list[Asked]]:
    """Launches that wait for one pull, which hangs until it is let go."""
    hold = world.faults.hold("pull")
    launches = [world.launching(each, "far") for each in identifiers]
    await hold.reached()
    await until(lambda: world.engine.calls["create"] == len(identifiers))
    await pass_time(0.1)
    return hold, launches


async def test_an_image_that_is_missing_is_pulled_and_only_once(pulling: World) -> None:
    await pulling.launch("a-1", "far")
    await pulling.launch("a-2", "far")
    assert ["a-1", "a-2"] == pulling.running()
    assert ([("far", "")], 3) == (pulling.engine.pulled, pulling.engine.calls["create"])
    assert {"pulled": 1} == pulls(pulling)
    (began,), (ended,) = pulling.logged("pull.started"), pulling.logged("pull.ended")
    assert ("far", "far", "pulled") == (began["image"], ended["image"], ended["outcome"])


async def test_an_image_that_is_there_costs_no_call(pulling: World) -> None:
    pulling.host.images.add("far")
    await pulling.launch("a-1", "far")
    assert (0, 1) == (pulling.engine.calls["pull"], pulling.engine.calls["create"])


async def test_an_image_is_pulled_before_each_launch_if_the_catalogue_says_always(
    pulling: World,
) -> None:
    for identifier in ("a-1", "a-2"):
        await pulling.launch(identifier, "fresh")
    assert [(IMAGE, "linux/arm64")] * 2 == pulling.engine.pulled
    assert 2 == pulling.engine.calls["create"]
    assert "linux/arm64" == pulling.logged("pull.started")[0]["platform"]


async def test_an_image_is_never_pulled_by_default(pulling: World) -> None:
    pulling.host.registry.add("missing")
    assert 422 == await pulling.launching("a-1", "missing").answer()
    assert 0 == pulling.engine.calls["pull"]


async def test_a_pull_takes_up_no_slot(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    fetching = pulling.launching("a-1", "far")
    await hold.reached()
    await pulling.launch("a-2")
    await pulling.kill("a-2")
    assert {"a-1": "starting"} == pulling.listed()
    hold.release()
    assert 0 == await fetching.answer()
    assert ["a-1"] == pulling.running()


async def test_a_job_tells_that_it_waits_for_its_image(pulling: World) -> None:
    seen: list[bool] = []
    pulling.registry.subscribe_to_changes(lambda job: seen.append(job.pulling))
    hold = pulling.faults.hold("pull")
    launch = pulling.launching("a-1", "far")
    await hold.reached()
    assert [False, True] == seen
    hold.release()
    await launch
    assert [False, True, False, False] == seen
    await pulling.launch("a-2", "far")
    assert not any(seen[4:])


async def test_a_launch_whose_pull_fails_waits_no_more(pulling: World) -> None:
    seen: list[tuple[str, bool]] = []
    pulling.registry.subscribe_to_changes(lambda job: seen.append((job.state, job.pulling)))
    pulling.faults.fail("pull", RegistryDenied("no"))
    assert 424 == await pulling.launching("a-1", "far").answer()
    assert [("starting", False), ("starting", True), ("starting", False), ("gone", False)] == seen


async def test_a_pull_has_a_time_limit_of_its_own() -> None:
    async with a_world(launch_timeout_seconds=1.0, pull_timeout_seconds=20) as world:
        world.host.registry.add("far")
        world.faults.delay("pull", 19.0)
        assert 0 == await world.launching("a-1", "far").answer()
        await world.kill("a-1")
        world.host.images.discard("far")
        world.faults.delay("pull", 21.0)
        launch = world.launching("a-1", "far")
        assert 504 == await launch.answer()
        assert "PULL_TIMEOUT_SECONDS=20" in str(launch.error)
        assert {"pulled": 1, "failed": 1} == pulls(world)


async def test_the_flood_that_waits_for_one_image_keeps_no_other_job_out(pulling: World) -> None:
    pulling.host.registry.add("farther")
    hold, (first, *flood) = await sharing(pulling, "a-1", "a-2", "a-3", "a-4")
    assert 429 == await pulling.launching("a-5", "far").answer()
    # Each newcomer takes the place of the last one, until the flood has as many as the others.
    await pulling.launch("b-1")
    assert 429 == await flood[2].answer()
    assert "most of them for the pull of this image" in str(flood[2].error)
    others = [pulling.launching(each, "farther") for each in ("c-1", "c-2")]
    assert 429 == await flood[1].answer()
    await pass_time(0.1)  # until they wait for the image
    assert 429 == await pulling.launching("c-3", "farther").answer()
    hold.release()
    assert [0] * 4 == [await each.answer() for each in (first, flood[0], *others)]
    assert ["a-1", "a-2", "b-1", "c-1", "c-2"] == pulling.running()
    assert ["far", "farther"] == [image for image, _ in pulling.engine.pulled]


async def test_a_launch_that_pulls_counts_among_those_that_wait(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    fetching = pulling.launching("a-1", "far")
    await hold.reached()
    busy = pulling.faults.hold("create")
    begun = [pulling.launching(each) for each in ("a-2", "a-3", "a-4")]
    await busy.reached()
    assert 429 == await pulling.launching("a-5").answer()
    busy.release()
    hold.release()
    assert [0] * 4 == [await each.answer() for each in (fetching, *begun)]


async def test_launches_of_one_image_share_its_pull(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    launches = [pulling.launching(each, "far") for each in ("a-1", "a-2", "a-3", "a-3")]
    await hold.reached()
    hold.release()
    assert [0] * 4 == [await each.answer() for each in launches]
    assert 1 == pulling.engine.calls["pull"]
    assert {"launches": 3, "dedups": 1} == pulling.counted()


async def test_no_more_images_are_pulled_at_once_than_may_be(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    launches = [pulling.launching("a-1", "far"), pulling.launching("a-2", "farther")]
    await hold.reached()
    await until(lambda: in_progress(pulling) == (1, 1, 1))
    hold.release()
    assert [0, 0] == [await each.answer() for each in launches]
    assert (0, 0, 1) == in_progress(pulling)
    assert 1 == pulling.metric("supervisor_pull_wait_duration_seconds_count")


async def test_a_pull_that_nobody_waits_for_any_more_is_cancelled(pulling: World) -> None:
    hold, launches = await sharing(pulling, "a-1", "a-2")
    launches[0].hang_up()
    await until(lambda: list(pulling.states()) == ["a-2"])
    assert (1, 0, 1) == in_progress(pulling)
    launches[1].hang_up()
    await until(lambda: pulling.states() == {})
    await until(lambda: in_progress(pulling) == (0, 0, 1))
    assert {"cancelled": 1} == pulls(pulling)
    hold.release()
    await pass_time()
    assert ([], {}) == (pulling.left(), pulling.counted())


async def test_a_pull_is_not_begun_for_a_client_that_has_gone(pulling: World) -> None:
    hold = pulling.faults.hold("create")
    launch = pulling.launching("a-1", "far")
    await hold.reached()
    launch.hang_up()
    await pass_time(0.1)
    hold.release()
    await until(lambda: pulling.states() == {})
    assert 0 == pulling.engine.calls["pull"]


async def test_an_image_that_is_asked_for_again_while_its_pull_is_cancelled_is_pulled(
    pulling: World,
) -> None:
    hold = pulling.faults.hold("pull")
    launch = pulling.launching("a-1", "far")
    await hold.reached()
    launch.hang_up()
    assert 0 == await pulling.launching("a-2", "far").answer()
    assert ["a-2"] == pulling.running()


# Kills


async def test_a_kill_takes_a_launch_out_of_its_pull(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    launch = pulling.launching("a-1", "far")
    await hold.reached()
    await pulling.kill("a-1")
    assert (True, 499) == (launch.done, await launch.answer())
    assert ({}, {"cancelled": 1}) == (pulling.states(), pulls(pulling))
    assert {"not_running": 1} == pulling.outcomes("supervisor_kills_total")
    assert {"failures": 1, "kills": 1} == pulling.counted()
    assert 0 == await pulling.launching("a-1", "far").answer()


async def test_a_kill_takes_out_its_own_job_only(pulling: World) -> None:
    hold, launches = await sharing(pulling, "a-1", "a-2")
    await pulling.kill("a-1")
    hold.release()
    assert [499, 0] == [await each.answer() for each in launches]
    assert (["a-2"], {"pulled": 1}) == (pulling.running(), pulls(pulling))


async def test_a_kill_of_everything_takes_out_all_that_pull(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    launches = [pulling.launching("a-1", "far"), pulling.launching("a-2", "farther")]
    await hold.reached()
    await pulling.launch("a-3")
    assert 0 == await pulling.killing_all().answer()
    assert [499, 499] == [await each.answer() for each in launches]
    assert ({}, []) == (pulling.states(), pulling.left())


async def test_a_launch_that_was_killed_while_it_waited_pulls_nothing(pulling: World) -> None:
    hold = pulling.faults.hold("create")
    launch = pulling.launching("a-1", "far")
    await hold.reached()
    kill = pulling.killing("a-1")
    await until(lambda: pulling.states() == {"a-1": "stopping"})
    hold.release()
    assert (499, 0) == (await launch.answer(), await kill.answer())
    assert 0 == pulling.engine.calls["pull"]


# Failures


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ImageMissing("no such image"), 422),
        (RegistryDenied("not allowed"), 424),
        (RegistryLimited("too many"), 429),
        (RegistryAway("away"), 503),
    ],
)
async def test_what_cannot_be_pulled_is_an_error_for_all_and_leaves_nothing(
    pulling: World, error: EngineError, code: int
) -> None:
    hold, launches = await sharing(pulling, "a-1", "a-2")
    hold.refuse(error)
    assert [code] * 2 == [await each.answer() for each in launches]
    assert ([], {}, {"failures": 2}) == (pulling.left(), pulling.states(), pulling.counted())
    assert ([code], {"failed": 1}) == (
        [each["code"] for each in pulling.logged("pull.failed")],
        pulls(pulling),
    )
    await pulling.launch("a-1", "far")


async def test_an_image_that_is_gone_after_its_pull_is_an_error(pulling: World) -> None:
    pulling.faults.fail("create", ImageMissing("it is not there"), times=2)
    assert 422 == await pulling.launching("a-1", "far").answer()
    assert (2, 1) == (pulling.engine.calls["create"], pulling.engine.calls["pull"])


async def test_a_launch_that_was_given_up_is_not_made_again(pulling: World) -> None:
    pulling.faults.fail("create", EngineUnavailable("gone in the middle"))
    assert 422 == await pulling.launching("a-1", "far").answer()
    assert 0 == pulling.engine.calls["pull"]


async def test_an_engine_that_is_back_in_time_is_asked_again(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    launch = pulling.launching("a-1", "far")
    await hold.reached()
    pulling.engine.go_away()
    await until(lambda: not pulling.readiness.ready)
    pulling.engine.come_back()
    assert 0 == await launch.answer()
    assert pulling.engine.calls["pull"] >= 2


async def test_an_engine_that_stays_away_is_a_503(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    launch = pulling.launching("a-1", "far")
    await hold.reached()
    pulling.engine.go_away()
    await pass_time(2 * GAP_SECONDS)
    assert (True, 503) == (launch.done, await launch.answer())


async def test_a_process_that_stops_does_not_wait_for_a_pull(pulling: World) -> None:
    hold = pulling.faults.hold("pull")
    launch = pulling.launching("a-1", "far")
    await hold.reached()
    pulling.readiness.drain()
    assert 503 == await launch.answer()
    assert {} == pulling.states()


async def test_a_pull_that_times_out_at_the_engine_is_a_504(pulling: World) -> None:
    pulling.faults.fail("pull", EngineTimeout("too slow"))
    assert 504 == await pulling.launching("a-1", "far").answer()


# Progress


def test_progress_is_told_every_few_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    told = Progress(Image("far", ""))
    with capture_logs() as logs:
        for seconds in (1.0, PROGRESS_SECONDS - 1, 0.5, PROGRESS_SECONDS):
            now[0] += seconds
            told(PullProgress(2, 1, 2048, 1024))
    expected = {"image": "far", "layers": 2, "layers_done": 1, "size": 2048, "size_done": 1024}
    assert ["pull.progressed"] * 2 == [each["event"] for each in logs]
    assert all(expected.items() <= each.items() for each in logs)
