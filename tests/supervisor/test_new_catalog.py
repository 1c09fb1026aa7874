"""The catalogue changes while jobs run, start and are asked for."""

from collections.abc import AsyncIterator

import pytest

from service.engine.configuration import Offers
from service.jobs.catalog import Catalog
from service.jobs.catalog_keys import Entry
from service.jobs.labels import labels_of
from service.jobs.model import Kind
from service.jobs.observations import HealthSeen
from tests.supervisor.world import CATALOG, IMAGE, World, a_world, until
from tests.support.samples import a_job


def _without(*names: str) -> Catalog:
    return Catalog({name: entry for name, entry in CATALOG.items() if name not in names})


def _with(**entries: Entry) -> Catalog:
    return Catalog(CATALOG | entries)


def _fingerprint(world: World, identifier: str) -> int:
    job = world.registry.grouped(identifier)
    assert job is not None
    return job.fingerprint


async def test_a_job_that_is_gone_runs_on_and_is_killed_but_not_launched(world: World) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    world.use_catalog(_without("timer"))
    assert {"a-1": "running"} == world.listed()
    # The very same request, too: it was a dedup before.
    assert not world.supervisor.repeats("a-1", _fingerprint(world, "a-1"))
    for identifier in ("a-1", "a-2"):
        launch = world.launching(identifier)
        assert 404 == await launch.answer()
        assert "name: 'timer' is no longer a job of the catalogue" == str(launch.error)
    other = world.launching("a-3", "timers")
    assert 404 == await other.answer()
    assert "name: 'timers' is not a job of the catalogue" == str(other.error)
    assert container is world.container("a-1")
    assert 1 == world.metric("supervisor_jobs_running", job_name="timer")
    await world.kill("a-1")
    assert [] == world.left()
    assert 0 == world.metric("supervisor_jobs_running")
    assert 1 == world.metric("supervisor_kills_total", job_name="timer", outcome="stopped")


async def test_a_job_that_comes_back_is_a_job_as_before(world: World) -> None:
    await world.launch("a-1")
    world.use_catalog(_without("timer"))
    world.use_catalog(_without("mail"))
    assert world.supervisor.repeats("a-1", _fingerprint(world, "a-1"))
    await world.launch("a-2")
    launch = world.launching("m-1", "mail")
    assert 404 == await launch.answer()
    assert "no longer" in str(launch.error)


async def test_a_new_job_has_its_series_before_its_first_launch(world: World) -> None:
    assert {} == _series(world, "clock")
    world.use_catalog(_with(clock=Entry(kind=Kind.ACTION, image=IMAGE, ends=True)))
    series = _series(world, "clock")
    assert _series(world, "webhook") == series
    assert 1 == series.pop("supervisor_job_info")
    assert {0.0} == set(series.values())
    assert 1 == world.metric("supervisor_job_info", job_name="clock", kind="action", ends="true")
    await world.launch("c-1", "clock")
    assert 1 == world.metric("supervisor_jobs_running", job_name="clock")
    assert 1 == world.metric("supervisor_launches_total", job_name="clock")


def _series(world: World, job: str) -> dict[str, float]:
    """The samples of a job, without the failures, which begin with the first one."""
    return {
        sample.name: sample.value
        for family in world.metrics.registry.collect()
        for sample in family.samples
        if sample.labels.get("job_name") == job and family.name != "supervisor_failures"
    }


async def test_a_job_that_changes_is_described_anew(world: World) -> None:
    world.use_catalog(_with(timer=Entry(kind=Kind.ACTION, image=IMAGE, ends=True)))
    assert 1 == world.metric("supervisor_job_info", job_name="timer")
    assert 1 == world.metric("supervisor_job_info", job_name="timer", ends="true")


async def test_what_runs_keeps_what_it_was_launched_with(world: World) -> None:
    await world.launch("a-1")
    world.host.images.add("newer")
    world.use_catalog(_with(timer=Entry(kind=Kind.ACTION, image="newer", first_argument="run")))
    assert 0 == await world.launching("a-1").answer()  # a dedup
    await world.launch("a-2")
    assert [IMAGE, "newer"] == [world.container(n).spec.image for n in ("a-1", "a-2")]
    assert "run" == world.container("a-2").spec.arguments[0]


@pytest.mark.parametrize("stage", ["create", "start"])
async def test_a_launch_under_way_keeps_the_entry_that_it_began_with(
    world: World, stage: str
) -> None:
    hold = world.faults.hold(stage)  # type: ignore[arg-type]
    launch = world.launching("a-1")
    await hold.reached()
    world.use_catalog(_without("timer"))
    again = world.launching("a-1", "webhook")  # joins it, whatever became of its name
    hold.release()
    assert [0, 0] == [await launch.answer(), await again.answer()]
    assert IMAGE == world.container("a-1").spec.image
    assert 1 == world.metric("supervisor_jobs_running", job_name="timer")


async def test_an_action_that_becomes_a_reaction_is_launched_at_each_request(world: World) -> None:
    await world.launch("a-1")
    fingerprint = _fingerprint(world, "a-1")
    world.use_catalog(_with(timer=Entry(kind=Kind.REACTION, image=IMAGE)))
    assert not world.supervisor.repeats("a-1", fingerprint)
    await world.launch("a-1")
    assert 2 == len(world.running())
    await world.kill("a-1")
    assert [] == world.left()


async def test_of_many_catalogues_in_a_row_the_last_one_counts(world: World) -> None:
    for number in range(200):
        world.use_catalog(_with(**{f"job-{number}": Entry(kind=Kind.ACTION, image=IMAGE)}))
    answers = [await world.launching(f"i-{n}", f"job-{n}").answer() for n in (0, 198, 199)]
    assert [404, 404, 0] == answers


@pytest.fixture
async def adopting() -> AsyncIterator[World]:
    """A supervisor that adopts, and finds a job that its catalogue does not have."""
    async with a_world(started=False, adopt=True) as made:
        labels = labels_of(a_job("1" * 16, identifier="o-1", name="old"), "default")
        made.put("o-1", dict(labels))
        made.watch()
        await made.ready()
        yield made


async def test_an_adopted_job_that_the_catalogue_gets_is_counted_under_its_name(
    adopting: World,
) -> None:
    running, unhealthy = "supervisor_jobs_running", "supervisor_jobs_unhealthy"
    assert 1 == adopting.metric(running, job_name="unknown")
    sick = HealthSeen(healthy=False, unhealthy=True)
    adopting.registry.observe("1" * 16, sick)
    assert 1 == adopting.metric(unhealthy, job_name="unknown")
    adopting.use_catalog(_with(old=Entry(kind=Kind.ACTION, image=IMAGE)))
    assert (0, 1) == tuple(adopting.metric(running, job_name=n) for n in ("unknown", "old"))
    assert (0, 1) == tuple(adopting.metric(unhealthy, job_name=n) for n in ("unknown", "old"))
    assert 1 == adopting.metric("supervisor_jobs", state="running")
    adopting.host.exit(adopting.container("o-1").id, 3)
    await until(lambda: not adopting.states())
    assert (0, 0) == tuple(adopting.metric(running, job_name=n) for n in ("unknown", "old"))
    assert 0 == adopting.metric(unhealthy)
    assert 1 == adopting.metric("supervisor_exits_total", job_name="old", outcome="error")


async def test_who_waits_for_room_goes_on_when_the_catalogue_gives_more() -> None:
    def timer(most: int) -> Entry:
        return Entry(kind=Kind.ACTION, image=IMAGE, max_running=most, when_full="wait")

    async with a_world(catalog=_with(timer=timer(1))) as world:
        await world.launch("a-1")
        launches = [world.launching(identifier) for identifier in ("a-2", "a-3")]
        await until(lambda: 3 == len(world.states()))
        world.use_catalog(_with(timer=timer(2)))
        await launches[0]
        assert not launches[1].done
        world.use_catalog(_without("timer"))
        assert 404 == await launches[1].answer()
        assert ["a-1", "a-2"] == world.running()


async def test_what_is_wrong_for_a_new_job_is_told_once(world: World) -> None:
    def told() -> list[str]:
        return [str(each["about"]) for each in world.logged("surroundings.noticed")]

    world.engine.has_offers = Offers(runtimes=frozenset({"runc"}))
    newer = _with(clock=Entry(kind=Kind.ACTION, image=IMAGE, runtime="runsc", network="bridge"))
    for _ in range(2):
        world.use_catalog(newer)
        await until(lambda: 2 == len(told()))
    assert ["GRPC_CALLBACK_HOST", "runtime"] == told()
