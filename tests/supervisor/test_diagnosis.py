"""Diagnose: what needs attention in a running supervisor, and nothing else."""

import time
from collections.abc import Sequence
from typing import Any

from service.access.clients import JobScope
from service.diagnosis.checks import Finding, Status
from service.diagnosis.live import Outside, PortCertificate
from service.errors import EngineFailed, StartError
from service.jobs.labels import labels_of
from service.support.tls_files import Lifetime
from tests.supervisor.world import INSTANCE, World, a_world, until
from tests.support.examined_engine import Engine
from tests.support.samples import a_job

Told = tuple[str, str, str]


async def _found(world: World, scope: JobScope | None = None) -> Sequence[Finding]:
    diagnosis = world.observer.diagnosis
    return await (diagnosis.find(scope) if scope else diagnosis.find())


async def _told(world: World) -> list[Told]:
    """Check, status and subject of each finding, which all say what to do."""
    found = await _found(world)
    assert all(each.message and each.help for each in found)
    return [(each.check, each.status.value, each.subject) for each in found]


def _outside(engine: Engine | None = None, **more: Any) -> Outside:
    def examine() -> Any:
        if engine is None:
            raise StartError("DOCKER_HOST=x: is wrong")
        return engine

    parts: dict[str, Any] = {
        "catalogue_fault": lambda: "",
        "access_fault": lambda: "",
        "certificates": list,
        "log_is_full": lambda: False,
        "examine": examine,
    }
    return Outside(**parts | more)


async def test_where_all_is_well_nothing_is_found(world: World) -> None:
    await world.launch("a-1")
    assert [] == await _told(world)


async def test_jobs_that_have_ended_badly_lately(world: World) -> None:
    await world.launch("a-1")
    await world.launch("a-2")
    await world.launch("b-1", "webhook")
    world.host.exit(world.container("b-1").id, 0)
    for name in ("a-1", "a-2"):
        world.host.exit(world.container(name).id, 3)
        await until(lambda name=name: name not in world.states())  # type: ignore[misc]
    await until(lambda: not world.states())
    (found,) = await _found(world)
    assert ("failing", "timer") == (found.check, found.subject)
    words = "2 ended badly in the last 15 min; the last, 'a-2', as error with exit code 3"
    assert f"{words}, and said last: " in found.message
    assert [] == await _found(world, JobScope(["web*"]))
    assert 1 == len(await _found(world, JobScope(["ti*"])))


async def test_jobs_that_back_off_are_sick_or_paused(world: World) -> None:
    await world.launch("again-1", "patiently again")
    world.host.exit(world.container("again-1").id, 1)
    await world.launch("p-1")
    world.host.pause(world.container("p-1").id, paused=True)
    healthy = world.launching("h-1", "api")
    await until(lambda: "h-1" in world.running())
    world.host.probe(world.container("h-1").id, 0)
    await healthy
    world.host.probe(world.container("h-1").id, 1)
    await until(lambda: len(world.logged("job.unhealthy")) == 1, within=40)
    expected = {
        ("backing_off", "warning", "patiently again"),
        ("paused", "warning", "timer"),
        ("unhealthy", "warning", "api"),
    }
    assert expected == {*await _told(world)}


async def test_a_cordon_and_limits(world: World) -> None:
    world.cordon.set("maintenance")
    (found,) = await _found(world)
    assert ("cordon", True) == (found.check, "maintenance; 0 launches" in found.message)
    async with a_world(max_running_jobs=1) as full:
        await full.launch("a-1")
        (found,) = await _found(full)
        assert ("room", True) == (found.check, "MAX_RUNNING_JOBS=1" in found.message)


async def test_an_engine_that_is_away_is_not_asked(world: World) -> None:
    world.observer.diagnosis.look_outside(_outside())
    world.engine.go_away()
    await until(lambda: not world.readiness.ready, within=10)
    assert [("engine", "error", "")] == await _told(world)


async def test_a_container_that_cannot_be_removed() -> None:
    async with a_world(orphan_grace_seconds=0) as world:
        world.put("orphan-1", dict(labels_of(a_job(), INSTANCE)), started=False)
        world.faults.fail("remove", EngineFailed("device busy"), times=1000)
        world.faults.fail("set aside", EngineFailed("not permitted"), times=1000)
        await until(lambda: world.watcher.janitor.stuck == 1, within=400)
        assert [("leftovers", "error", "")] == await _told(world)
        world.faults.clear()


async def test_files_that_were_refused_and_a_full_log(world: World) -> None:
    soon = PortCertificate("grpc", 0.0, 1.0, "is not the key")
    world.observer.diagnosis.look_outside(
        _outside(
            Engine(),
            catalogue_fault=lambda: "jobs.x: is wrong",
            access_fault=lambda: "clients: is wrong",
            certificates=lambda: [soon],
            log_is_full=lambda: True,
        )
    )
    assert {
        ("catalogue", "error", ""),
        ("access", "error", ""),
        ("certificates", "error", "grpc port"),
        ("log", "error", ""),
    } <= {*await _told(world)}


async def test_of_certificates_the_refused_files_and_the_time_are_told_apart(world: World) -> None:
    refused = PortCertificate("grpc", 0.0, time.time() + 1e9, "is not the key")
    expired = PortCertificate("http", 0.0, 1.0, "")
    world.observer.diagnosis.look_outside(
        _outside(Engine(), certificates=lambda: [refused, expired])
    )
    found = [each for each in await _found(world) if each.check == "certificates"]
    assert ["grpc port", "http port"] == [each.subject for each in found]
    assert ["is not the key" in each.message for each in found] == [True, False]


async def test_an_authority_of_clients_that_expires(world: World) -> None:
    async def told(*days: float) -> list[tuple[Status, bool]]:
        begins, ends = (time.time() + each * 86_400 for each in days)
        asks = PortCertificate("grpc", 0.0, time.time() + 1e9, "", Lifetime(begins, ends))
        outside = _outside(Engine(), certificates=lambda: [asks])
        world.observer.diagnosis.look_outside(outside)
        found = [each for each in await _found(world) if each.check == "certificates"]
        return [(each.status, each.message.startswith("an authority of its")) for each in found]

    assert [] == await told(-80, 10)
    assert [(Status.WARNING, True)] == await told(-82, 8)  # less than a tenth is left
    assert [] == await told(-3650, 31)
    assert [(Status.WARNING, True)] == await told(-3650, 29)
    assert [(Status.ERROR, True)] == await told(-3650, -1)


async def test_what_the_engine_tells_is_shared_and_kept_for_a_while() -> None:
    engine = Engine(version="20.10.24")
    engine.missing = {"worker"}
    async with a_world(real_time=True) as world:
        world.observer.diagnosis.look_outside(_outside(engine))
        for _ in range(3):
            found = {*await _told(world)}
        assert ("images", "error", "worker") in found
        assert ("engine", "warning", "20.10.24") in found
        assert 1 == engine.asked
        seen = await _found(world, JobScope(["timer"]))
        assert "images" not in {each.check for each in seen}  # their messages name all jobs
        assert "images" in {each.check for each in await _found(world, JobScope(["*"]))}


async def test_an_engine_that_is_slow_holds_nobody_up() -> None:
    engine = Engine()
    engine.answers.clear()
    async with a_world() as world:
        world.observer.diagnosis.look_outside(_outside(engine))
        world.cordon.set("")
        assert [("cordon", "warning", ""), ("engine", "warning", "")] == await _told(world)
        engine.answers.set()


async def test_who_may_know_of_some_jobs_only_is_not_told_of_others(world: World) -> None:
    """Nor of other clients, which the faults of the files name."""
    told = {"catalogue_fault": "jobs.secret: is wrong", "access_fault": "clients.eve: is wrong"}
    faults: dict[str, Any] = {name: lambda text=text: text for name, text in told.items()}
    world.observer.diagnosis.look_outside(_outside(**faults))
    found = await _found(world, JobScope(["timer"]))
    assert {"catalogue", "access"} <= {each.check for each in found}
    assert not [text for each in found for text in told.values() if text in each.message]
    for all_jobs in (None, JobScope(["*"])):
        everything = [each.message for each in await _found(world, all_jobs)]
        assert all(any(text in message for message in everything) for text in told.values())
