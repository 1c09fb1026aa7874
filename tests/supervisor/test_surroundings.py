"""What is told of the settings and of the Engine, and that nothing waits for it."""

import pytest

from service.engine.configuration import Trait
from service.errors import EngineRefused
from tests.supervisor.world import World, a_world, pass_time, until


def told(world: World) -> list[str]:
    return [entry["about"] for entry in world.logged("surroundings.noticed")]


@pytest.mark.parametrize(
    ("network", "callback", "about"),
    [
        ("area_default", "localhost", ["GRPC_CALLBACK_HOST"]),
        ("bridge", "127.0.0.1", ["GRPC_CALLBACK_HOST"]),
        ("bridge", "[::1]", ["GRPC_CALLBACK_HOST"]),
        ("bridge", "[::ffff:127.0.0.1]", ["GRPC_CALLBACK_HOST"]),
        ("bridge", "0.0.0.0", ["GRPC_CALLBACK_HOST"]),
        ("bridge", "[::]", ["GRPC_CALLBACK_HOST"]),
        ("bridge", "LocalHost.", ["GRPC_CALLBACK_HOST"]),
        ("bridge", "backend", []),
        ("bridge", "172.17.0.1", []),
        ("host", "localhost", []),
        ("host", "[::1]", []),
    ],
)
async def test_a_callback_that_is_the_jobs_own_container_is_told_at_the_start(
    network: str, callback: str, about: list[str]
) -> None:
    async with a_world(job_network=network, grpc_callback_host=callback, started=False) as world:
        world.engine.go_away()
        world.watch()
        await pass_time()
        assert about == told(world)


@pytest.mark.parametrize(
    ("trait", "network", "callback", "about"),
    [
        (Trait.USERNS_REMAP, "host", "backend", ["userns-remap"]),
        (Trait.USERNS_REMAP, "bridge", "backend", []),
        (Trait.ROOTLESS, "host", "localhost", ["rootless"]),
        (Trait.ROOTLESS, "host", "backend", []),
        (Trait.ROOTLESS, "bridge", "backend", []),
        (Trait.GAINS_PRIVILEGES, "bridge", "backend", ["no_new_privileges"]),
        (Trait.GAINS_PRIVILEGES, "host", "localhost", ["no_new_privileges"]),
    ],
)
async def test_an_engine_that_needs_other_settings_is_told(
    trait: Trait, network: str, callback: str, about: list[str]
) -> None:
    async with a_world(job_network=network, grpc_callback_host=callback, started=False) as world:
        world.engine.has_traits = frozenset({trait})
        world.watch()
        await world.ready()
        await pass_time()
        assert about == told(world)


async def test_an_engine_is_looked_at_anew_when_it_is_back_and_told_of_once(world: World) -> None:
    for traits in (frozenset[Trait](), frozenset({Trait.ROOTLESS}), frozenset({Trait.ROOTLESS})):
        world.engine.has_traits = traits
        world.engine.go_away()
        await until(lambda: not world.readiness.ready)
        world.engine.come_back()
        await world.ready()
        await pass_time()
    assert ["rootless"] == told(world)


async def test_an_engine_that_says_nothing_of_itself_is_ready_all_the_same() -> None:
    async with a_world(started=False) as world:
        world.faults.fail("traits", EngineRefused("forbidden by a proxy"))
        hold = world.faults.hold("traits")
        world.watch()
        await world.ready()
        await world.launch("a-1")
        hold.release()
        await pass_time()
        assert [] == told(world)
        assert [] == world.logged("background.failed")
