"""What a job finds around itself, looked at from inside of it, on a real Engine and on a Swarm."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from service.engine.output import UNREADABLE_LOG
from service.engine.workload_spec import Confinement, Gpus, Log, Surroundings, Volume, WorkloadSpec
from service.engine.workloads import Status
from service.errors import EngineRefused
from tests.engine import on_swarm
from tests.engine.inside import output_of
from tests.engine.rigs import DockerRig, Listener, Rig, SwarmRig, until, until_async
from tests.support import worker

_TIMEOUT = 30.0
_VOLUME = "supervisor-test-volume"
_ROTATED = {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}


def _spec(rig: Rig, surroundings: Surroundings, *arguments: str, **more: Any) -> WorkloadSpec:
    return WorkloadSpec(
        **{"name": "a-1", "image": worker.IMAGE, "arguments": arguments, "labels": rig.selector}
        | more,
        surroundings=surroundings,
    )


async def _start(rig: Rig, surroundings: Surroundings, *arguments: str, **more: Any) -> str:
    spec = _spec(rig, surroundings, *arguments, **more)
    return (await rig.engine.start(spec, timeout=_TIMEOUT)).id


@pytest.fixture
async def listened(docker_rig: DockerRig) -> Any:
    """An adapter that follows the Engine, as that of a supervisor does before any launch."""
    listener = Listener(docker_rig.engine)
    await until(lambda: bool(listener.heard))
    yield docker_rig
    await listener.close()


@pytest.fixture
def volume(docker_rig: DockerRig) -> Iterator[str]:
    """The name of a volume that is not there, neither before nor after."""
    yield _VOLUME
    _remove_volume(docker_rig.client)


def _remove_volume(client: docker.DockerClient) -> None:
    for container in client.containers.list(all=True, ignore_removed=True):
        container.remove(force=True)
    for found in client.volumes.list(filters={"name": _VOLUME}):
        found.remove()


async def test_a_job_finds_what_the_catalogue_says(docker_rig: DockerRig) -> None:
    surroundings = Surroundings(
        working_dir="/srv/app",
        extra_hosts=(("db.internal", "10.9.8.7"), ("gateway", "10.0.0.1")),
        dns=("10.0.0.2", "fd00::2"),
    )
    workload_id = await _start(docker_rig, surroundings, environment={"LEVEL": "{{x}}é"})

    async def output(*command: str) -> str:
        return await output_of(docker_rig, workload_id, *command)

    assert "/srv/app\n" == await output("pwd")
    hosts = [line.split() for line in (await output("cat", "/etc/hosts")).splitlines()]
    assert ["10.9.8.7", "db.internal"] in hosts
    assert ["10.0.0.1", "gateway"] in hosts
    resolv = (await output("cat", "/etc/resolv.conf")).splitlines()
    servers = [line.split()[1] for line in resolv if line.startswith("nameserver")]
    assert ["10.0.0.2", "fd00::2"] == servers
    assert "LEVEL={{x}}é" in (await output("env")).splitlines()


# Volumes


async def test_a_volume_is_made_and_outlives_its_job(docker_rig: DockerRig, volume: str) -> None:
    surroundings = Surroundings(volumes=(Volume(volume, "/data"),))
    first = await _start(docker_rig, surroundings)
    await output_of(docker_rig, first, "sh", "-c", "echo kept > /data/file")
    await docker_rig.engine.remove(first, force=True)
    reading = Surroundings(volumes=(Volume(volume, "/data", read_only=True),))
    second = await _start(docker_rig, reading)
    assert "kept\n" == await output_of(docker_rig, second, "cat", "/data/file")
    write = "echo x > /data/file || echo refused"
    assert "refused\n" == await output_of(docker_rig, second, "sh", "-c", write)


async def test_a_folder_of_the_host_is_there_if_it_is_allowed(
    docker_rig: DockerRig, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("hello")
    folder = Surroundings(volumes=(Volume(str(tmp_path), "/data", read_only=True),))
    confinement = Confinement(read_only=True)
    await docker_rig.allow(str(tmp_path))
    workload_id = await _start(docker_rig, folder, confinement=confinement)
    assert "hello" == await output_of(docker_rig, workload_id, "cat", "/data/file")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("", "leads to .*, which is or contains the socket of an engine"),
        ("nowhere", "bind source path does not exist: .*make the folder on the host"),
    ],
)
async def test_a_folder_that_is_not_to_be_had_is_refused_and_nothing_is_left(
    docker_rig: DockerRig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    told: str,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker_rig.private.host)
    source = tmp_path / "nowhere"
    if not target:
        source.symlink_to(docker_rig.private.socket.parent)
    folder = Surroundings(volumes=(Volume(str(source), "/data"),))
    await docker_rig.allow(str(tmp_path))
    with pytest.raises(EngineRefused, match=told):
        await _start(docker_rig, folder)
    assert [] == list(await docker_rig.engine.list())


@pytest.mark.parametrize("rig", ["docker", "swarm"], indirect=True)
async def test_a_folder_that_is_not_allowed_is_refused(rig: Rig) -> None:
    folder = Surroundings(volumes=(Volume("/srv/data", "/data"),))
    with pytest.raises(EngineRefused, match="volumes: /srv/data: is not in ALLOWED_HOST_PATHS"):
        await _start(rig, folder)
    assert [] == list(await rig.engine.list())


# What the Engine lacks


@pytest.mark.parametrize(
    ("surroundings", "told"),
    [
        (Surroundings(runtime="runsc"), "runsc.*`runtime` in the catalogue"),
        (Surroundings(gpus=Gpus(count=-1)), "gpu.*`gpus` in the catalogue"),
        (Surroundings(log=Log("no-such-driver")), "driver.*`log` in the catalogue"),
        (Surroundings(log=Log("json-file", (("no-such", "1"),))), "no-such"),
    ],
)
async def test_what_the_engine_lacks_is_refused_by_name_and_nothing_is_left(
    docker_rig: DockerRig, surroundings: Surroundings, told: str
) -> None:
    with pytest.raises(EngineRefused, match=told):
        await _start(docker_rig, surroundings)
    assert [] == list(await docker_rig.engine.list())


async def test_docker_tells_what_it_has(docker_rig: DockerRig) -> None:
    offers = await docker_rig.engine.offers()
    assert offers.runtimes is not None
    assert "runc" in offers.runtimes
    assert offers.log_drivers is not None
    assert {"json-file", "local", "none"} <= offers.log_drivers


# Logs


async def test_a_job_keeps_little_of_what_it_prints_unless_the_catalogue_says_otherwise(
    listened: DockerRig,
) -> None:
    for log, expected in (
        (None, _ROTATED),
        (Log("local", (("max-size", "1m"),)), {"Type": "local", "Config": {"max-size": "1m"}}),
        (Log("", (("max-size", "5m"),)), {"Type": "json-file", "Config": {"max-size": "5m"}}),
        (Log("json-file"), {"Type": "json-file", "Config": {}}),
    ):
        workload_id = await _start(listened, Surroundings(log=log))
        assert expected == (await listened.inspect(workload_id))["HostConfig"]["LogConfig"]
        await listened.engine.remove(workload_id, force=True)


async def test_what_a_log_driver_does_not_give_back_is_told_and_is_no_failure(
    docker_rig: DockerRig,
) -> None:
    workload_id = await _start(docker_rig, Surroundings(log=Log("none")), "--exit", "3")

    async def has_exited() -> bool:
        return (await docker_rig.engine.inspect(workload_id)).status is Status.EXITED

    await until_async(has_exited)
    with pytest.raises(EngineRefused) as caught:
        await docker_rig.engine.tail(workload_id, lines=5)
    assert UNREADABLE_LOG == caught.value.message
    assert 0 == docker_rig.errors()


# On a Swarm


async def test_a_service_finds_what_the_catalogue_says(swarm_rig: SwarmRig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    surroundings = Surroundings(
        working_dir="/srv/app",
        extra_hosts=(("db.internal", "10.9.8.7"),),
        dns=("10.0.0.2",),
        volumes=(Volume(_VOLUME, "/cache"), Volume(str(tmp_path), "/data", read_only=True)),
        log=Log("local", (("max-size", "1m"),)),
    )
    environment = {"LEVEL": "{{x}}"}
    await swarm_rig.allow(str(tmp_path))
    await on_swarm.start(swarm_rig, "a-1", surroundings=surroundings, environment=environment)
    found = await asyncio.to_thread(on_swarm.only_container, swarm_rig)
    assert "/srv/app" == found["Config"]["WorkingDir"]
    assert "LEVEL={{x}}" in found["Config"]["Env"]
    assert ["db.internal:10.9.8.7"] == found["HostConfig"]["ExtraHosts"]
    assert ["10.0.0.2"] == found["HostConfig"]["Dns"]
    assert {"Type": "local", "Config": {"max-size": "1m"}} == found["HostConfig"]["LogConfig"]
    mounts = {each["Destination"]: each for each in found["Mounts"]}
    assert (_VOLUME, True) == (mounts["/cache"]["Name"], mounts["/cache"]["RW"])
    assert (str(tmp_path), False) == (mounts["/data"]["Source"], mounts["/data"]["RW"])


async def test_a_service_has_the_log_of_its_node_unless_the_catalogue_says_otherwise(
    swarm_rig: SwarmRig,
) -> None:
    await on_swarm.start(swarm_rig, "a-1")
    found = await asyncio.to_thread(on_swarm.only_container, swarm_rig)
    assert {"Type": "json-file", "Config": {}} == found["HostConfig"]["LogConfig"]


async def test_what_a_services_log_driver_does_not_give_back_is_told(swarm_rig: SwarmRig) -> None:
    workload_id = await on_swarm.start(swarm_rig, "a-1", surroundings=Surroundings(log=Log("none")))
    with pytest.raises(EngineRefused) as caught:
        await swarm_rig.engine.tail(workload_id, lines=5)
    assert UNREADABLE_LOG == caught.value.message
