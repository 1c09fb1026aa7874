"""Files with secrets on a real Engine: who can read them, and that they go with their container."""

import asyncio
from typing import Any

import pytest

from service.engine.docker.connection import Clients, Connection
from service.engine.docker.secret_volumes import copy_file, has_file
from service.engine.workload_spec import Confinement, SecretFile, Tmpfs, WorkloadSpec
from service.engine.workloads import Status
from service.errors import EngineRefused, ImageMissing, NoSuchWorkload
from tests.engine.rigs import DockerRig, until_async
from tests.support import broken, secret_searches, worker

_TIMEOUT = 30.0
_PATH = "/run/area-auth/auth.json"
_SECRET = '{"token":"t0p-s3cret-{{.Node.ID}}"}'
_HAS_USERS = "supervisor-test-has-users"
_SHOWS_IT = f"/bin/busybox cat {_PATH}; echo; while :; do /bin/busybox sleep 1; done"
_PASSWD = b"root:x:0:0::/:/bin/sh\nworker:x:4321:99:A Worker:/:/bin/sh\nodd\n"


def _secret(name: str = "area-auth-1") -> SecretFile:
    return SecretFile(name, _SECRET)


@pytest.fixture
def has_users(docker_rig: DockerRig) -> str:
    """An image whose program shows the file, with users, as one of whom it runs."""
    shows = broken.entrypoint("/bin/busybox", "sh", "-c", _SHOWS_IT, "worker")
    files = {"etc/passwd": (0o644, _PASSWD)}
    return broken.make(docker_rig.client, _HAS_USERS, shows, "USER worker:99", files=files)


async def _start(rig: DockerRig, name: str = "a-1", **more: Any) -> str:
    labels = {**rig.selector, "area.supervisor.instance": '"x'}
    given = {"name": name, "image": worker.IMAGE, "arguments": (), "secret": _secret()}
    spec = WorkloadSpec(**{**given, "labels": labels, **more})
    return (await rig.engine.start(spec, timeout=_TIMEOUT)).id


async def _exec(rig: DockerRig, container_id: str, *command: str, user: str = "") -> str:
    def run() -> str:
        made = rig.client.api.exec_create(container_id, ["/bin/busybox", *command], user=user)
        output: bytes = rig.client.api.exec_start(made["Id"])
        return output.decode()

    return await asyncio.to_thread(run)


async def _says(rig: DockerRig, workload_id: str, text: str) -> None:
    async def check() -> bool:
        return text in await rig.engine.tail(workload_id, lines=20)

    await until_async(check, within=_TIMEOUT)


async def _read(rig: DockerRig, container_id: str) -> str | None:
    read_file = rig.engine.capabilities.read_file
    assert read_file is not None
    return await read_file(container_id)


async def _sweep(rig: DockerRig, grace: float = 0.0) -> int:
    sweep = rig.engine.capabilities.sweep_files
    assert sweep is not None
    return await sweep(grace=grace)


def _volumes(rig: DockerRig) -> list[str]:
    return list(secret_searches.volumes(rig.client, rig.selector))


@pytest.mark.parametrize(
    ("confinement", "owner"),
    [
        (Confinement(), 4321),
        (Confinement(user="worker"), 4321),
        (Confinement(user="root"), 0),
        (Confinement(user="0", cap_drop=("ALL",)), 0),
        (Confinement(user="2147483647:8878", cap_drop=("ALL",)), 2147483647),
        (Confinement(user="8877", read_only=True, tmpfs=(Tmpfs("/run"),)), 8877),
    ],
    ids=["the image's", "by name", "root by name", "root", "a high number", "read-only"],
)
async def test_the_user_of_a_container_can_read_its_file_and_no_other_user_can(
    docker_rig: DockerRig, has_users: str, confinement: Confinement, owner: int
) -> None:
    container_id = await _start(docker_rig, image=has_users, confinement=confinement)
    await _says(docker_rig, container_id, _SECRET)
    found = secret_searches.content(docker_rig.client, container_id, "auth.json")
    assert (owner, 0o400, _SECRET.encode()) == found
    assert "Permission denied" in await _exec(docker_rig, container_id, "cat", _PATH, user="1234")


async def test_nothing_on_the_host_shows_it(docker_rig: DockerRig) -> None:
    await _start(docker_rig)
    assert [] == secret_searches.places_with("t0p-s3cret", docker_rig.client)


async def test_what_shows_a_secret_is_found(docker_rig: DockerRig) -> None:
    """So that the test above can fail."""
    environment = {"AREA_AUTH": "t0p-s3cret"}
    container_id = await _start(docker_rig, secret=None, environment=environment)
    found = secret_searches.places_with("t0p-s3cret", docker_rig.client)
    assert container_id in found
    assert any(place.endswith("/environ") for place in found)
    await _start(docker_rig, "a-2", secret=None, arguments=("--auth", "0ther-s3cret"))
    found = secret_searches.places_with("0ther-s3cret", docker_rig.client)
    assert any(place.endswith("/cmdline") for place in found)


async def test_the_file_is_there_after_a_restart_and_can_be_read_at_any_time(
    docker_rig: DockerRig, has_users: str
) -> None:
    confinement = Confinement(read_only=True)
    container_id = await _start(docker_rig, image=has_users, confinement=confinement)
    assert _SECRET == await _read(docker_rig, container_id)
    await docker_rig.engine.stop(container_id, grace=5)
    assert _SECRET == await _read(docker_rig, container_id)
    await docker_rig.start_by_hand(container_id)
    await _says(docker_rig, container_id, f"{_SECRET}\n{_SECRET}\n")
    await docker_rig.go_away()
    await docker_rig.come_back()
    assert _SECRET == await _read(docker_rig, container_id)
    await docker_rig.start_by_hand(container_id)
    with pytest.raises(NoSuchWorkload):
        await _read(docker_rig, "0" * 64)


async def test_a_file_that_the_worker_has_removed_or_changed_is_not_what_it_was(
    docker_rig: DockerRig,
) -> None:
    container_id = await _start(docker_rig)
    await _exec(docker_rig, container_id, "truncate", "-s", "3000000000", _PATH)
    assert await _read(docker_rig, container_id) is None
    await _exec(docker_rig, container_id, "rm", _PATH)
    assert await _read(docker_rig, container_id) is None
    await _exec(docker_rig, container_id, "ln", "-s", "/etc/passwd", _PATH)
    assert await _read(docker_rig, container_id) is None


async def test_the_file_goes_with_its_container(docker_rig: DockerRig) -> None:
    live = await _start(docker_rig)
    exited = await _start(docker_rig, "a-2", arguments=("--exit", "3"))

    async def has_exited() -> bool:
        return (await docker_rig.engine.inspect(exited)).status is Status.EXITED

    await until_async(has_exited)
    assert 2 == len(_volumes(docker_rig))
    await docker_rig.engine.remove(exited)
    await docker_rig.engine.remove(live, force=True)
    assert [] == _volumes(docker_rig)


@pytest.mark.parametrize(
    "wrong", [{"network": "no-such-net"}, {"image": worker.BROKEN}, {"image": "no-such-image"}]
)
async def test_a_start_that_is_refused_leaves_no_file_and_does_not_tell_it(
    docker_rig: DockerRig, wrong: dict[str, str]
) -> None:
    with pytest.raises((EngineRefused, ImageMissing)) as caught:
        await _start(docker_rig, **wrong)
    assert "s3cret" not in caught.value.message
    assert [] == _volumes(docker_rig)
    assert [] == list(await docker_rig.engine.list())


async def test_a_user_whose_number_nobody_knows_is_refused_with_what_helps(
    docker_rig: DockerRig, has_users: str
) -> None:
    for image in (has_users, worker.IMAGE):
        with pytest.raises(EngineRefused, match=r"nobody.*: give `user` in the catalogue"):
            await _start(docker_rig, image=image, confinement=Confinement(user="nobody:99"))
    assert [] == _volumes(docker_rig)
    assert [] == list(await docker_rig.engine.list())


async def test_a_file_that_a_third_party_leaves_behind_is_removed_and_no_other_volume(
    docker_rig: DockerRig,
) -> None:
    api = docker_rig.client.api
    theirs = "supervisor-test-theirs"
    await asyncio.to_thread(api.create_volume, theirs, labels=docker_rig.selector)
    kept, left = await _start(docker_rig), await _start(docker_rig, "a-2")
    await asyncio.to_thread(api.remove_container, left, force=True)
    assert 3 == len(_volumes(docker_rig))
    assert 1 == await _sweep(docker_rig)
    assert 0 == await _sweep(docker_rig)
    assert 2 == len(_volumes(docker_rig))
    assert _SECRET == await _read(docker_rig, kept)
    await asyncio.to_thread(api.remove_volume, theirs)


async def test_a_successor_gets_the_file_of_its_predecessor(
    docker_rig: DockerRig, has_users: str
) -> None:
    confinement = Confinement(read_only=True)
    first = await _start(docker_rig, image=has_users, confinement=confinement)
    client = Clients(Connection(docker_rig.private.host)).negotiate()
    config = (await asyncio.to_thread(client.inspect_to_repeat, first))["HostConfig"]
    api: Any = docker_rig.client.api
    given = {key: config[key] for key in ("Mounts", "NetworkMode", "ReadonlyRootfs")}
    body = {"Image": has_users, "HostConfig": given}
    made = await asyncio.to_thread(api.create_container_from_config, body, "a-2")
    assert has_file(config["Mounts"])
    await asyncio.to_thread(copy_file, client, first, made["Id"], "a-2")
    await docker_rig.start_by_hand(made["Id"])
    await _says(docker_rig, made["Id"], _SECRET)
    found = secret_searches.content(docker_rig.client, made["Id"], "auth.json")
    assert (4321, 0o400, _SECRET.encode()) == found
    await _exec(docker_rig, first, "rm", "-f", _PATH, user="0")
    with pytest.raises(EngineRefused, match="credentials of a-2 is not what it was"):
        await asyncio.to_thread(copy_file, client, first, made["Id"], "a-2")
