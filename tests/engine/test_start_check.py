"""A launch whose program does not begin is an error, and what finding out costs."""

import asyncio
import io
import json
import signal
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import docker
import pytest

from service.engine.docker.engine import DockerEngine
from service.engine.docker.start_check import StartCheck
from service.engine.workload_spec import Limits, WorkloadSpec
from service.engine.workloads import Status
from service.errors import EngineRefused
from tests.engine.rigs import DockerRig, Listener, Rig, until, until_async
from tests.support import broken, worker
from tests.support.broken import entrypoint

IMAGE = "supervisor-test-odd"
_SCRIPT = "/run.sh"
_ENDLESS = b"#!/bin/sh\nwhile :; do /bin/busybox sleep 1; done\n"
# Nobody ever writes to what it reads from, which is its own standard output.
_WAIT = b"read -t 1 _ <>/proc/self/fd/1\n"
# As long as nothing takes, on whatever machine (seconds).
_LONG = 20.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine gets as long as it takes to say why a program cannot be run."""
    monkeypatch.setattr("service.engine.docker.start_check._WAIT", _LONG)


async def _start(rig: Rig, image: str, *arguments: str, **more: Any) -> str:
    spec = WorkloadSpec(
        **{"name": "a-1", "image": image, "arguments": arguments, "labels": rig.selector} | more
    )
    return (await rig.engine.start(spec, timeout=30)).id


def _looks(rig: DockerRig) -> float:
    name = "supervisor_engine_operation_duration_seconds_count"
    return rig.metrics.registry.get_sample_value(name, {"operation": "top"}) or 0


# What every engine promises


async def test_a_program_that_cannot_be_run_is_refused_with_the_reason_and_leaves_nothing(
    rig: Rig,
) -> None:
    for _ in range(2):  # an image that was found broken is not taken for a known one
        with pytest.raises(EngineRefused, match="No such file or directory"):
            await _start(rig, worker.BROKEN)
        assert [] == await rig.engine.list()
        assert "a-1" not in await rig.engine.names()
    await _start(rig, worker.IMAGE)


@pytest.mark.parametrize("code", ["0", "1", "2", "126", "127", "134"])
async def test_a_program_that_ends_at_once_has_begun(rig: Rig, code: str) -> None:
    for _ in range(2):
        workload_id = await _start(rig, worker.IMAGE, "--exit", code)
        await until_async(lambda: _has_exited(rig, workload_id, int(code)))  # noqa: B023
        await rig.engine.remove(workload_id)


# Docker


@pytest.mark.parametrize(
    ("changes", "files", "told"),
    [
        ([], {}, "exec --target failed: No such file or directory; .* has no entrypoint"),
        ([entrypoint("")], {}, "exec --target failed"),
        ([entrypoint("/nope")], {}, "exec /nope failed: No such file or directory"),
        ([entrypoint("nope")], {}, "exec nope failed: No such file or directory"),
        ([entrypoint("/bin")], {}, "exec /bin failed: Permission denied"),
        ([entrypoint(_SCRIPT)], {"run.sh": (0o644, _ENDLESS)}, "Permission denied"),
        ([entrypoint(_SCRIPT), "USER 1"], {"run.sh": (0o700, _ENDLESS)}, "Permission denied"),
        ([entrypoint(_SCRIPT)], {"run.sh": (0o755, b"#!/nope\n")}, "interpreter"),
        ([entrypoint(_SCRIPT)], {"run.sh": (0o755, b"#!/bin/sh\r\n:\r\n")}, "interpreter"),
        (
            [entrypoint("/odd")],
            {"odd": (0o755, broken.elf_for_another_processor())},
            "exec format error; was the image .* built for another processor",
        ),
    ],
    ids=[
        "no entrypoint",
        "an empty entrypoint",
        "a missing program",
        "a missing program to be found in the path",
        "a folder",
        "not executable",
        "not executable for its user",
        "a missing interpreter",
        "lines that end in CR LF",
        "another processor",
    ],
)
async def test_docker_says_why_a_program_cannot_be_run(
    docker_rig: DockerRig, changes: list[str], files: dict[str, tuple[int, bytes]], told: str
) -> None:
    broken.make(docker_rig.client, IMAGE, *changes, files=files)
    with pytest.raises(EngineRefused, match=told):
        await _start(docker_rig, IMAGE, "--target", "h:1")
    assert [] == await docker_rig.engine.list()


async def test_docker_does_not_take_the_shell_that_reads_a_program_for_the_program(
    docker_rig: DockerRig,
) -> None:
    """As long as the shell has not failed at it, which on a busy machine takes a while."""
    files = {
        "odd": (0o755, broken.elf_for_another_processor()),
        "bin/sh": (0o755, b"#!/bin/busybox sh\n" + _WAIT + b'exec /real/sh "$@"\n'),
        "real/sh": (0o755, broken.busybox()),
    }
    broken.make(docker_rig.client, IMAGE, entrypoint("/odd"), files=files, shell=False)
    with pytest.raises(EngineRefused, match="exec format error"):
        await _start(docker_rig, IMAGE, "--target", "h:1")


@pytest.mark.parametrize(
    ("program", "script", "patience"),
    [
        ([_SCRIPT], _ENDLESS.partition(b"\n")[2], _LONG),
        ([_SCRIPT], _WAIT * 60, 0.5),
        (["sh", "-c", (_WAIT * 60).decode()], b"", _LONG),
        ([_SCRIPT], b"#!/usr/bin/env sh\n" + _WAIT * 60, _LONG),
    ],
    ids=["with a child", "by itself", "asked for", "found by env"],
)
async def test_docker_takes_a_shell_that_goes_on_for_a_program(
    docker_rig: DockerRig,
    monkeypatch: pytest.MonkeyPatch,
    program: list[str],
    script: bytes,
    patience: float,
) -> None:
    """Also where the kernel cannot execute a script, for want of a first line that says how.

    Such a one without a child is what nobody can tell from one that is about to fail.
    """
    monkeypatch.setattr("service.engine.docker.start_check._WAIT", patience)
    files = {"run.sh": (0o755, script), "usr/bin/env": (0o755, broken.busybox())}
    broken.make(docker_rig.client, IMAGE, entrypoint(*program), files=files)
    began = asyncio.get_running_loop().time()
    workload_id = await _start(docker_rig, IMAGE)
    assert asyncio.get_running_loop().time() - began < _LONG
    assert Status.LIVE is (await docker_rig.engine.inspect(workload_id)).status


async def test_docker_says_that_a_program_is_for_another_processor_without_a_shell(
    docker_rig: DockerRig,
) -> None:
    files = {"odd": (0o755, broken.elf_for_another_processor())}
    broken.make(docker_rig.client, IMAGE, entrypoint("/odd"), files=files, shell=False)
    with pytest.raises(EngineRefused, match="cannot be run: exec /odd failed"):
        await _start(docker_rig, IMAGE)


async def test_docker_says_that_one_process_is_too_few(docker_rig: DockerRig) -> None:
    with pytest.raises(EngineRefused, match="pids = 1 has to leave room"):
        await _start(docker_rig, worker.IMAGE, limits=Limits(pids=1))
    await _start(docker_rig, worker.IMAGE, limits=Limits(pids=3))  # others are not distrusted


async def test_docker_is_asked_once_for_an_image_and_again_after_a_doubtful_end(
    docker_rig: DockerRig,
) -> None:
    listener = Listener(docker_rig.engine)
    await until(lambda: bool(listener.heard))
    await _exit_with(docker_rig, listener, "0")
    looks = _looks(docker_rig)
    assert looks >= 1
    await _exit_with(docker_rig, listener, "0")
    await _exit_with(docker_rig, listener, "134")
    assert looks == _looks(docker_rig)
    await _leave_with(docker_rig, listener, "127")
    assert looks == _looks(docker_rig)
    await _start(docker_rig, worker.IMAGE, "--exit", "0")
    assert looks < _looks(docker_rig)
    await listener.close()


def _imported(client: docker.DockerClient) -> None:
    broken.make(client, IMAGE, entrypoint("/nope"))


def _built(client: docker.DockerClient) -> None:
    dockerfile = io.BytesIO(f"FROM {IMAGE}\nENTRYPOINT {json.dumps(['/nope'])}\n".encode())
    client.images.build(fileobj=dockerfile, tag=IMAGE)


def _committed(client: docker.DockerClient) -> None:
    container = client.containers.create(IMAGE, entrypoint=["/nope"])
    container.commit(IMAGE)
    container.remove()


def _loaded(client: docker.DockerClient) -> None:
    good = client.images.get(IMAGE)
    _imported(client)
    archive = b"".join(client.api.get_image(IMAGE))
    good.tag(IMAGE)
    client.images.load(archive)


@pytest.mark.parametrize("change", [_built, _committed, _loaded])
async def test_docker_finds_out_an_image_that_was_built_anew_at_its_first_launch(
    docker_rig: DockerRig, change: Callable[[docker.DockerClient], None]
) -> None:
    broken.make(docker_rig.client, IMAGE, entrypoint(_SCRIPT), files={"run.sh": (0o755, _ENDLESS)})
    listener = Listener(docker_rig.engine)
    await _catch_up(docker_rig, listener)
    for _ in range(2):
        looks = _looks(docker_rig)
        await docker_rig.engine.remove(await _start(docker_rig, IMAGE), force=True)
    assert looks == _looks(docker_rig)  # it is known
    await asyncio.to_thread(change, docker_rig.client)
    await _catch_up(docker_rig, listener)
    with pytest.raises(EngineRefused, match="exec /nope failed: No such file or directory"):
        await _start(docker_rig, IMAGE)
    assert [] == await docker_rig.engine.list()
    await listener.close()


async def test_docker_finds_out_an_image_that_was_built_anew_while_nobody_listened(
    docker_rig: DockerRig,
) -> None:
    broken.make(docker_rig.client, IMAGE, entrypoint(_SCRIPT), files={"run.sh": (0o755, _ENDLESS)})
    await docker_rig.engine.remove(await _start(docker_rig, IMAGE), force=True)
    _imported(docker_rig.client)
    listener = Listener(docker_rig.engine)
    await until(lambda: bool(listener.heard))
    with pytest.raises(EngineRefused, match="exec /nope failed"):
        await _start(docker_rig, IMAGE)
    await listener.close()


async def test_that_an_image_has_begun_says_nothing_of_the_next_one_of_its_name(
    docker_rig: DockerRig,
) -> None:
    """Where it changes after the container was made, and before its program has begun."""
    assert isinstance(docker_rig.engine, DockerEngine)
    check = docker_rig.engine._start_check
    spec = WorkloadSpec(name="a-1", image=worker.IMAGE, arguments=())
    container_id = await docker_rig.stranger("a-1")
    before = check.epoch
    check.forget()
    looks = [_looks(docker_rig)]
    for epoch in (before, check.epoch, check.epoch, before):
        await check.confirm(container_id, spec, epoch, timeout=0.5)
        looks.append(_looks(docker_rig))
    assert [True, True, False, True] == [one < other for one, other in pairwise(looks)]


async def test_docker_without_a_list_of_processes_tells_by_the_exit(
    docker_rig: DockerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a host without `ps`, and under runtimes that do not list them."""
    assert isinstance(docker_rig.engine, DockerEngine)
    monkeypatch.setattr("service.engine.docker.start_check._NAMES", "no such option")
    monkeypatch.setattr("service.engine.docker.start_check._BLIND_WAIT", 10.0)
    with pytest.raises(EngineRefused, match="exec /nope failed"):
        await _start(docker_rig, worker.BROKEN)
    monkeypatch.setattr("service.engine.docker.start_check._BLIND_WAIT", 0.2)
    workload_id = await _start(docker_rig, worker.IMAGE)
    looks = _looks(docker_rig)
    assert 2 == looks  # in vain, once for each launch
    await docker_rig.engine.remove(workload_id, force=True)
    await _start(docker_rig, worker.IMAGE)
    assert looks == _looks(docker_rig)


async def test_a_job_that_exits_while_its_processes_are_listed_is_no_failure_of_the_engine(
    docker_rig: DockerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's answer depends on the moment: mostly 409, sometimes 404 or 500."""
    monkeypatch.setattr("service.engine.docker.start_check._NAMES", "no such option")
    monkeypatch.setattr("service.engine.docker.start_check._BLIND_WAIT", _LONG)
    await _start(docker_rig, worker.IMAGE, "--after", "0.3", "--exit", "3")
    with pytest.raises(EngineRefused, match="exec /nope failed"):
        await _start(docker_rig, worker.BROKEN, name="a-2")
    assert 0 == docker_rig.errors()


async def test_a_container_that_vanishes_while_it_is_looked_at_was_started(
    docker_rig: DockerRig,
) -> None:
    assert isinstance(docker_rig.engine, DockerEngine)
    gone = WorkloadSpec(name="a-1", image=worker.IMAGE, arguments=())
    await StartCheck(docker_rig.engine._calls).confirm("0" * 64, gone, 0, timeout=5)


async def _catch_up(rig: DockerRig, listener: Listener) -> None:
    """Wait for an event that comes after all that has happened, which Podman reports late."""
    await until(lambda: bool(listener.heard))
    container_id = await rig.stranger("last", rig.selector)
    await until(lambda: "started" in listener.changes(container_id))
    await rig.engine.remove(container_id, force=True)


async def _exit_with(rig: DockerRig, listener: Listener, code: str) -> None:
    workload_id = await _start(rig, worker.IMAGE, "--exit", code)
    await until(lambda: "exited" in listener.changes(workload_id))
    await rig.engine.remove(workload_id)


async def _leave_with(rig: DockerRig, listener: Listener, code: str) -> None:
    """End with a code, and only once the launch is over: its own look would come after the end."""
    arguments = ("--exit", "", "--leave", code, "--say", "!")
    workload_id = await _start(rig, worker.IMAGE, *arguments)

    async def handles_sigterm() -> bool:
        return "\n!\n" in await rig.engine.tail(workload_id, lines=100)

    await until_async(handles_sigterm)
    await rig.kill_by_hand(workload_id, signal.SIGTERM)
    await until(lambda: "exited" in listener.changes(workload_id))
    await rig.engine.remove(workload_id)


async def _has_exited(rig: Rig, workload_id: str, code: int) -> bool:
    seen = await rig.engine.inspect(workload_id)
    return (Status.EXITED, code) == (seen.status, seen.exit_code)
