"""Files with credentials on a Swarm, which are its secrets: they go with their service."""

import asyncio
import json
import os
from typing import Any

import pytest

from service.engine.workload_spec import Confinement, SecretFile, Tmpfs, WorkloadSpec
from service.errors import EngineRefused, ImageMissing, NameTaken
from tests.engine import on_swarm
from tests.engine.rigs import SwarmRig, until_async
from tests.support import secret_searches

_TIMEOUT = 30.0
_PATH = "/run/area-auth/auth.json"
_SECRET = '{"token":"t0p-s3cret-{{.Node.ID}}"}'


def _secret(name: str) -> SecretFile:
    return SecretFile(name, _SECRET)


async def _says(rig: SwarmRig, workload_id: str, text: str) -> None:
    async def check() -> bool:
        return text in await rig.engine.tail(workload_id, lines=20)

    await until_async(check, within=_TIMEOUT)


async def _sweep(rig: SwarmRig, grace: float = 0.0) -> int:
    sweep = rig.engine.capabilities.sweep_files
    assert sweep is not None
    return await sweep(grace=grace)


def _on_swarm(rig: SwarmRig, name: str, **more: Any) -> WorkloadSpec:
    confinement = Confinement(user="8877:8878", read_only=True, tmpfs=(Tmpfs("/run"),))
    given = {"secret": _secret(f"area-auth-{name}"), "confinement": confinement, **more}
    arguments = ("--auth-file", _PATH, "--show-auth", "1")
    return on_swarm.a_spec(rig, name, *arguments, **given)


def _secrets(rig: SwarmRig) -> list[str]:
    with rig.swarm.manager.client() as client:
        return sorted(each.name for each in client.secrets.list())


async def _launch(rig: SwarmRig, name: str, **more: Any) -> str:
    return (await rig.engine.start(_on_swarm(rig, name, **more), timeout=_TIMEOUT)).id


async def test_on_a_swarm_it_is_a_secret_that_goes_with_its_service(swarm_rig: SwarmRig) -> None:
    service_id = await _launch(swarm_rig, "a-1")
    await _says(swarm_rig, service_id, f"auth: {_SECRET}")
    (pid,) = await asyncio.to_thread(_pids, swarm_rig)
    found = await asyncio.to_thread(os.stat, f"/proc/{pid}/root{_PATH}")
    assert (8877, 8878, 0o400) == (found.st_uid, found.st_gid, found.st_mode & 0o7777)
    with swarm_rig.swarm.manager.client() as client:
        assert [] == secret_searches.places_with("t0p-s3cret", client)
        api: Any = client.api
        (service,) = api.services()
        assert "s3cret" not in json.dumps([service, api.tasks(), api.secrets()])
    assert 0 == await _sweep(swarm_rig)
    assert ["area-auth-a-1"] == _secrets(swarm_rig)
    await swarm_rig.engine.remove(service_id, force=True)
    assert [] == _secrets(swarm_rig)


async def test_a_launch_that_fails_leaves_no_secret(swarm_rig: SwarmRig) -> None:
    await _launch(swarm_rig, "a-1")
    with pytest.raises(NameTaken):
        await _launch(swarm_rig, "a-1", secret=_secret("area-auth-other"), launch="other")
    with pytest.raises(ImageMissing):
        await _launch(swarm_rig, "a-2", image="supervisor-test-no-such-image")
    with pytest.raises(EngineRefused, match='auth: "file" needs a user with a number'):
        await _launch(swarm_rig, "a-3", confinement=Confinement(user="worker"))
    assert ["area-auth-a-1"] == _secrets(swarm_rig)


async def test_a_secret_that_an_earlier_try_has_made_is_used(swarm_rig: SwarmRig) -> None:
    with swarm_rig.swarm.manager.client() as client:
        client.secrets.create(
            name="area-auth-a-1", data=_SECRET.encode(), labels=swarm_rig.selector
        )
    service_id = await _launch(swarm_rig, "a-1")
    assert service_id == await _launch(swarm_rig, "a-1")
    assert ["area-auth-a-1"] == _secrets(swarm_rig)


async def test_secrets_that_are_left_are_removed_after_their_grace_by_whoever_finds_them(
    swarm_rig: SwarmRig,
) -> None:
    """Of a service that was removed by hand, and of a launch whose supervisor was killed."""
    service_id = await _launch(swarm_rig, "a-1")
    await _launch(swarm_rig, "a-2")
    with swarm_rig.swarm.manager.client() as client:
        client.secrets.create(name="area-auth-x", data=b"x", labels=swarm_rig.selector)
        client.secrets.create(name="of-others", data=b"x", labels={"area": "x"})
        client.services.get(service_id).remove()  # type: ignore[no-untyped-call]
    assert 0 == await _sweep(swarm_rig, grace=60.0)
    others = [swarm_rig.engine_at(swarm_rig.swarm.manager) for _ in range(2)]
    sweeps = [other.sweep_files(grace=0.0) for other in others]
    assert 2 == sum(await asyncio.gather(*sweeps))
    assert ["area-auth-a-2", "of-others"] == _secrets(swarm_rig)
    with swarm_rig.swarm.manager.client() as client:
        client.secrets.get("of-others").remove()
    for other in others:
        await other.close()


def _pids(rig: SwarmRig) -> list[int]:
    node = rig.swarm.manager
    with node.client() as client:
        found = [client.api.inspect_container(each["Id"]) for each in node.containers()]
    return [each["State"]["Pid"] for each in found]
