"""Starting again what has exited (`Engine.start_successor`), on every engine."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from observability.redaction.redactor import NO_SECRETS, Redactor
from service.engine.workload_spec import (
    Confinement,
    Limits,
    Surroundings,
    Tmpfs,
    Volume,
    WorkloadSpec,
)
from service.engine.workloads import Begun, Inspection, Status
from service.errors import EngineRefused, ImageMissing, NameTaken, NoSuchWorkload
from tests.engine.rigs import DockerRig, Rig, SwarmRig, until_async
from tests.support import worker

_TIMEOUT = 30.0
_ATTEMPT = "test.contract.attempt"
_OTHERS = pytest.mark.parametrize("rig", ["fake", "polled", "docker"], indirect=True)


async def _start(rig: Rig, name: str, *arguments: str, **more: Any) -> str:
    labels = rig.selector | {"test.contract.name": name}
    spec = WorkloadSpec(name=name, image=worker.IMAGE, arguments=arguments, labels=labels, **more)
    return (await rig.engine.start(spec, timeout=_TIMEOUT)).id


async def _start_ended(rig: Rig, name: str, *arguments: str, **more: Any) -> str:
    """A workload that ran, and that somebody has killed."""
    workload_id = await _start(rig, name, *arguments, **more)
    await rig.kill_by_hand(workload_id, signal.SIGKILL)
    await _exited(rig, workload_id)
    return workload_id


async def _exited(rig: Rig, workload_id: str) -> None:
    async def check() -> bool:
        return (await rig.engine.inspect(workload_id)).status is Status.EXITED

    await until_async(check)


def _nothing(_: Inspection) -> Redactor:
    return NO_SECRETS


async def _again(
    rig: Rig,
    workload_id: str,
    attempt: int = 1,
    *,
    redact: Callable[[Inspection], Redactor] = _nothing,
) -> Begun:
    return await rig.engine.start_successor(
        workload_id, {_ATTEMPT: str(attempt)}, redact=redact, timeout=_TIMEOUT
    )


async def _live(rig: Rig) -> dict[str, str]:
    return {w.name: w.id for w in await rig.engine.list() if w.status is Status.LIVE}


async def _has_printed(rig: Rig, workload_id: str) -> bool:
    return "traceparent: 00-abc\n" in await rig.engine.tail(workload_id, lines=100)


async def test_what_a_supervisor_has_stopped_can_be_started_again(rig: Rig) -> None:
    workload_id = await _start(rig, "a-1")
    for attempt in (1, 2):
        await rig.engine.stop(workload_id, grace=5.0)
        await _exited(rig, workload_id)
        workload_id = (await _again(rig, workload_id, attempt)).id
        seen = await rig.engine.inspect(workload_id)
        assert (Status.LIVE, False) == (seen.status, seen.stopping)
        assert [] == [each.name for each in await rig.engine.list() if each.stopping]
        assert {"a-1": workload_id} == await _live(rig)


async def test_a_successor_is_like_the_one_before_and_has_its_name(rig: Rig) -> None:
    arguments = ("first", "--auth", '{"a":"$HOME {{b}}"}', "", "two words", "line\nline")
    environment = {"TRACEPARENT": "00-abc"}
    old = await _start_ended(rig, "a-1", *arguments, environment=environment)
    shown: list[Sequence[str]] = []

    def redact(before: Inspection) -> Redactor:
        shown.append(tuple(before.arguments))
        return NO_SECRETS

    new = (await _again(rig, old, redact=redact)).id
    assert [arguments] == shown
    assert rig.engine.capabilities.successor_keeps_id == (new == old)
    seen = await rig.engine.inspect(new)
    assert (Status.LIVE, arguments) == (seen.status, tuple(seen.arguments))
    labels = rig.selector | {"test.contract.name": "a-1", _ATTEMPT: "1"}
    assert labels.items() <= seen.labels.items()
    assert {"a-1": new} == await _live(rig)
    (listed,) = [w for w in await rig.engine.list() if w.id == new]
    assert labels.items() <= listed.labels.items()
    await until_async(lambda: _has_printed(rig, new))
    await rig.engine.stop(new, grace=5)
    assert 143 == (await rig.engine.inspect(new)).exit_code
    assert 1 == (await rig.engine.tail(new, lines=100)).count("traceparent: 00-abc\n")


async def test_a_successor_may_have_successors(rig: Rig) -> None:
    workload_id = await _start_ended(rig, "a-1")
    for attempt in (1, 2):
        last, workload_id = workload_id, (await _again(rig, workload_id, attempt)).id
        await rig.kill_by_hand(workload_id, signal.SIGKILL)
        await _exited(rig, workload_id)
        if last != workload_id:
            await rig.engine.remove(last)
    (only,) = await rig.engine.list()
    assert ("a-1", "2") == (only.name, only.labels[_ATTEMPT])


async def test_what_runs_has_no_successor(rig: Rig) -> None:
    workload_id = await _start(rig, "a-1")
    with pytest.raises(EngineRefused, match="has not e"):
        await _again(rig, workload_id)
    assert {"a-1": workload_id} == await _live(rig)


async def test_what_is_gone_has_no_successor(rig: Rig) -> None:
    with pytest.raises(NoSuchWorkload):
        await _again(rig, "0" * 64)


@_OTHERS
async def test_the_one_before_stays_until_it_is_removed(rig: Rig) -> None:
    old = await _start_ended(rig, "a-1")
    new = (await _again(rig, old)).id
    seen = {w.id: (w.name, w.aside, w.replaced) for w in await rig.engine.list()}
    assert {old: (f"a-1.ended-{old[:12]}", False, True), new: ("a-1", False, False)} == seen
    assert [True, False] == [(await rig.engine.inspect(each)).replaced for each in (old, new)]
    assert await rig.engine.remove(old)


@_OTHERS
async def test_a_name_that_somebody_has_taken_meanwhile_is_theirs(rig: Rig) -> None:
    old = await _start_ended(rig, "a-1")
    new = (await _again(rig, old)).id
    with pytest.raises(NameTaken) as taken:
        await _again(rig, old)
    assert new == taken.value.holder
    await rig.engine.remove(new, force=True)
    assert {"a-1": (await _again(rig, old)).id} == await _live(rig)


async def test_docker_gives_a_successor_all_that_the_one_before_had(docker_rig: DockerRig) -> None:
    old = await _start_ended(
        docker_rig,
        "a-1",
        stop_signal="SIGINT",
        stop_grace=2.5,
        init=False,
        limits=Limits(memory=64 * 2**20, cpus=0.5, pids=50),
        confinement=Confinement(
            user="8877",
            read_only=True,
            cap_drop=("ALL",),
            cap_add=("NET_BIND_SERVICE",),
            tmpfs=(Tmpfs("/tmp", size=2**20),),
        ),
    )
    new = (await _again(docker_rig, old)).id
    before, after = await docker_rig.inspect(old), await docker_rig.inspect(new)
    for each in (before, after):
        each["Config"]["Env"].sort()
    assert before["Config"].pop("Labels") | {_ATTEMPT: "1"} == after["Config"].pop("Labels")
    assert before["Config"] == after["Config"]
    assert 3 == after["Config"]["StopTimeout"]  # whole seconds
    assert before["HostConfig"] == after["HostConfig"]
    assert before["Image"] == after["Image"]


@pytest.mark.parametrize("rig", ["docker", "swarm"], indirect=True)
async def test_a_folder_that_is_no_longer_allowed_is_refused(
    rig: DockerRig | SwarmRig, tmp_path: Path
) -> None:
    folder, allowed = str(tmp_path), str(tmp_path.parent)
    await rig.allow(allowed)
    surroundings = Surroundings(volumes=(Volume(folder, "/data"),))
    old = await _start_ended(rig, "a-1", surroundings=surroundings)
    await rig.allow("/srv")
    with pytest.raises(EngineRefused, match=f"volumes: {folder}: is not in ALLOWED_HOST_PATHS"):
        await _again(rig, old)
    await rig.allow(allowed)
    new = (await _again(rig, old)).id
    assert {"a-1": new} == await _live(rig)


async def test_docker_runs_the_image_of_before_when_its_name_has_moved(
    docker_rig: DockerRig,
) -> None:
    name = "supervisor-test-moved"
    client = docker_rig.client
    assert client.images.get(worker.IMAGE).tag(name)
    labels = dict(docker_rig.selector)
    spec = WorkloadSpec(name="a-1", image=name, arguments=(), labels=labels)
    old = (await docker_rig.engine.start(spec, timeout=_TIMEOUT)).id
    await docker_rig.kill_by_hand(old, signal.SIGKILL)
    await _exited(docker_rig, old)
    assert client.images.get(worker.BROKEN).tag(name)
    new = (await _again(docker_rig, old)).id
    assert (await docker_rig.inspect(old))["Image"] == (await docker_rig.inspect(new))["Image"]
    assert {"a-1": new} == await _live(docker_rig)


@pytest.mark.parametrize("rig", ["docker"], indirect=True)
async def test_an_image_that_is_gone_by_now_is_told_as_such(rig: DockerRig) -> None:
    first = rig.client.containers.get(await _start_ended(rig, "a-1"))
    first.commit("supervisor-test-gone", "latest")
    labels = dict(rig.selector)
    spec = WorkloadSpec(name="a-2", image="supervisor-test-gone", arguments=(), labels=labels)
    workload_id = (await rig.engine.start(spec, timeout=_TIMEOUT)).id
    await rig.kill_by_hand(workload_id, signal.SIGKILL)
    await _exited(rig, workload_id)
    rig.client.images.remove("supervisor-test-gone", force=True)
    with pytest.raises(ImageMissing, match="supervisor-test-gone"):
        await _again(rig, workload_id)
