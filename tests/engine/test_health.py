"""The health checks of containers on a real Engine, and of a Swarm, which has none."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import docker
import pytest

from service.engine.workload_spec import Healthcheck
from service.engine.workloads import Health, Status
from service.errors import EngineRefused
from tests.engine import on_swarm
from tests.engine.rigs import DockerRig, SwarmRig, until, until_async
from tests.engine.test_contract import a_listener, start
from tests.support import worker

_IMAGE = "supervisor-test-with-health-check"
_OF_IMAGE = ("/bin/busybox", "true")
_SECOND = 10**9
_IF_THERE = ("/bin/busybox", "test", "-e", "/healthy")
# How many probes Docker keeps in the log of a container.
_LOGGED = 5
# It succeeds once, and fails after that.
_ONCE = ("/bin/busybox", "mkdir", "/probed")


async def _told(rig: DockerRig, name: str, **more: Any) -> Mapping[str, Any] | None:
    """The health check as the Engine has it."""
    found = await rig.inspect(await start(rig, name, **more))
    check: Mapping[str, Any] | None = found["Config"].get("Healthcheck")
    return check


async def test_docker_runs_the_health_check_that_the_catalogue_gives(docker_rig: DockerRig) -> None:
    asked = Healthcheck(
        command=("/bin/busybox", "test", "-e", "/x y"),
        interval=1.5,
        timeout=0.25,
        retries=5,
        start_period=60.0,
    )
    told = await _told(docker_rig, "a-1", healthcheck=asked)
    assert told is not None
    assert ["CMD", *asked.command] == told["Test"]
    times = [told["Interval"], told["Timeout"], told["StartPeriod"]]
    assert ([1.5 * _SECOND, 0.25 * _SECOND, 60 * _SECOND], 5) == (times, told["Retries"])
    assert not await _told(docker_rig, "a-2")


async def test_what_a_health_check_leaves_out_is_that_of_the_image(docker_rig: DockerRig) -> None:
    instruction = 'HEALTHCHECK --interval=7s --retries=9 CMD ["/bin/busybox", "true"]'
    await asyncio.to_thread(worker.variant, docker_rig.client, _IMAGE, instruction)
    asked = Healthcheck(interval=3.0, required=True)
    told = await _told(docker_rig, "a-1", image=_IMAGE, healthcheck=asked)
    assert told is not None
    assert ["CMD", *_OF_IMAGE] == told["Test"]
    assert (3 * _SECOND, 9) == (told["Interval"], told["Retries"])


async def test_a_health_check_that_is_missing_is_refused_and_nothing_is_left(
    docker_rig: DockerRig,
) -> None:
    for check in (Healthcheck(required=True), Healthcheck(required=True, interval=1.0)):
        with pytest.raises(EngineRefused, match=r'ready = "healthcheck": .* has no HEALTHCHECK'):
            await start(docker_rig, "a-1", healthcheck=check)
    assert [] == list(await docker_rig.engine.list())


async def test_docker_tells_of_health_by_events_lists_and_inspections(
    docker_rig: DockerRig,
) -> None:
    listener = await a_listener(docker_rig)
    check = Healthcheck(command=_ONCE, interval=1.0, retries=1, required=True)
    workload_id = await start(docker_rig, "a-1", healthcheck=check)
    assert Health.STARTING is (await docker_rig.engine.inspect(workload_id)).health
    changes = ["created", "started", "healthy", "unhealthy"]
    await until(lambda: listener.changes(workload_id) == changes, within=30)
    (listed,) = await docker_rig.engine.list()
    seen = await docker_rig.engine.inspect(workload_id)
    assert Health.UNHEALTHY is listed.health is seen.health
    assert seen.probe is not None
    assert (1, True) == (seen.probe.exit_code, "File exists" in seen.probe.output)
    await listener.close()


@pytest.mark.parametrize(
    ("check", "key"),
    [(Healthcheck(required=True), "ready"), (Healthcheck(command=_ONCE), "healthcheck")],
)
async def test_a_swarm_refuses_health_checks_by_name(
    swarm_rig: SwarmRig, check: Healthcheck, key: str
) -> None:
    with pytest.raises(EngineRefused, match=f"^{key}: a Swarm waits for a health check by itself"):
        await on_swarm.start(swarm_rig, "a-1", healthcheck=check)
    assert [] == list(await swarm_rig.engine.list())


async def test_a_swarm_waits_for_the_health_check_of_an_image_and_ends_what_is_unhealthy(
    swarm_rig: SwarmRig,
) -> None:
    check = (
        f"HEALTHCHECK --interval=100ms --start-period=1m --retries=1 CMD {json.dumps(_IF_THERE)}"
    )
    await asyncio.to_thread(_on_manager, swarm_rig, worker.variant, _IMAGE, check)
    launch = asyncio.create_task(on_swarm.start(swarm_rig, "a-1", image=_IMAGE))
    await until(lambda: _probes(swarm_rig) == _LOGGED, within=30)
    (listed,) = await swarm_rig.engine.list()
    assert (Status.CREATED, False) == (listed.status, launch.done())
    await asyncio.to_thread(_on_manager, swarm_rig, _exec, "touch")
    service_id = await launch
    assert Status.LIVE is (await swarm_rig.engine.inspect(service_id)).status
    await asyncio.to_thread(_on_manager, swarm_rig, _exec, "rm")

    async def has_ended() -> bool:
        return (await swarm_rig.engine.inspect(service_id)).status is Status.EXITED

    await until_async(has_ended, within=30)
    assert 143 == (await swarm_rig.engine.inspect(service_id)).exit_code


def _on_manager(rig: SwarmRig, act: Callable[..., object], *arguments: str) -> None:
    with rig.swarm.manager.client() as client:
        act(client, *arguments)


def _exec(client: docker.DockerClient, program: str) -> None:
    (container,) = client.containers.list()
    assert 0 == container.exec_run(["/bin/busybox", program, "/healthy"]).exit_code


def _probes(rig: SwarmRig) -> int:
    """How many the Engine has logged of the only container, once there is one."""
    if not rig.swarm.manager.containers():
        return 0
    return len(on_swarm.only_container(rig)["State"].get("Health", {}).get("Log") or ())
