"""The simulated manager answers as a real one: the tests of the contract that every engine passes.

They are those of tests/engine/test_contract.py, which run on a real Swarm there.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from http import HTTPStatus
from inspect import signature
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from observability.redaction.redactor import NO_SECRETS
from service.engine.swarm import beginnings, ends, launch, news
from service.engine.workloads import Exit
from service.errors import EngineTimeout, ImageMissing
from tests.engine import test_contract as contract
from tests.engine.rigs import until
from tests.simulated_manager import swarm
from tests.simulated_manager.rig import SimulatedRig
from tests.simulated_manager.tasks import HOSTNAME, NODE

_LOOK = 0.02  # seconds
_MANY, _FEW = 40, 8


@pytest.fixture(params=["simulated"])
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SimulatedRig]:
    """The adapter looks more often: here, that slows nothing down."""
    monkeypatch.setattr(launch, "_LOOK", _LOOK)
    monkeypatch.setattr(beginnings, "_WATCHED", 0.1)
    monkeypatch.setattr(news, "_SHORTEST", _LOOK)
    made = SimulatedRig(tmp_path)
    yield made
    await made.clean()


def _is_for_every_engine(test: Callable[..., Any]) -> bool:
    """Whether it is about no engine in particular."""
    marks = getattr(test, "pytestmark", [])
    names = [mark.args[0] for mark in marks if mark.name == "parametrize"]
    return "rig" in signature(test).parameters and not any("rig" in name for name in names)


for _name, _test in list(vars(contract).items()):
    if _name.startswith("test_") and _is_for_every_engine(_test):
        globals()[_name] = _test


def test_there_are_tests_of_every_sort() -> None:
    taken = [name for name in globals() if name.startswith("test_")]
    assert len(taken) > 40
    for what in ("start", "stop", "remove", "inspect", "tail", "list", "watch", "hangs"):
        assert any(what in name for name in taken), what


async def test_connections_do_not_grow_with_the_workloads(rig: SimulatedRig) -> None:
    """docker-py would keep one for each URL of a request whose answer is streamed."""
    first = await rig.stranger("a-0")
    rig.swarm.copy(first, _MANY - 1, lambda spec, number: spec | {"Name": f"a-{number + 1}"})
    for service in rig.swarm.services():
        await rig.engine.inspect(service["ID"])
    await until(lambda: rig.manager.connected <= _FEW)


async def test_a_launch_that_waits_for_the_request_of_another_ends_in_time(
    rig: SimulatedRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manager does not answer that request."""
    monkeypatch.setattr(launch, "_LOOK", 0.5)
    answers, asked, tasks = Event(), list[Sequence[str]](), rig.swarm.tasks

    def hang_once(labels: Sequence[str] = (), services: Sequence[str] = ()) -> Sequence[bytes]:
        asked.append(services)
        if len(asked) == 1:
            answers.wait()
        return tasks(labels, services)

    monkeypatch.setattr(rig.swarm, "tasks", hang_once)
    leads = asyncio.create_task(contract.start(rig, "a-1"))
    await until(lambda: bool(rig.swarm.services(names=["a-1"])))
    try:
        spec = contract.a_spec(rig, "a-2")
        with pytest.raises(EngineTimeout, match=r"Swarm took too long to start a-2$"):
            await rig.engine.start(spec, timeout=2)
        assert 2 == len(asked[0])
    finally:
        answers.set()
    await leads


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_node_without_the_image_is_left_although_a_manager_hangs_meanwhile(
    rig: SimulatedRig, monkeypatch: pytest.MonkeyPatch, *, carried_out: bool
) -> None:
    """As during an election. Here there is no other node."""
    monkeypatch.setattr(launch, "_CALL", 0.2)
    over, asked, update = Event(), list[str](), rig.swarm.update

    def hang_once(service_id: str, version: int, spec: dict[str, Any]) -> None:
        asked.append(service_id)
        if len(asked) == 1:
            if carried_out:
                update(service_id, version, spec)
            over.wait()
            raise swarm.Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "no leader")
        update(service_id, version, spec)

    monkeypatch.setattr(rig.swarm, "update", hang_once)
    try:
        with pytest.raises(ImageMissing, match="No such image"):
            await rig.engine.start(contract.a_spec(rig, "a-1", image="missing"), timeout=4)
    finally:
        over.set()


async def test_a_restart_that_takes_too_long_names_the_node(
    rig: SimulatedRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await contract.start(rig, "a-1")
    await rig.kill_by_hand(service, 9)
    monkeypatch.setattr(swarm, "_STARTING", 60)
    with pytest.raises(EngineTimeout, match=f"start {service} again: .* preparing on {HOSTNAME}"):
        await rig.engine.start_successor(
            service, {"a": "1"}, redact=lambda _: NO_SECRETS, timeout=1.2
        )


async def test_a_kill_is_sent_although_the_nodes_are_not_told(rig: SimulatedRig) -> None:
    """As during an election; the adapter has not met the node yet."""
    service = await rig.stranger("a-1")
    rig.manager.lists_nodes.clear()
    found = await rig.engine.stop(service, grace=1)
    assert isinstance(found, Exit)
    assert 143 == found.code


@pytest.mark.parametrize("told", [True, False])
async def test_a_kill_that_takes_too_long_names_the_node(
    rig: SimulatedRig, monkeypatch: pytest.MonkeyPatch, *, told: bool
) -> None:
    """By its id if the manager has not told the name."""
    monkeypatch.setattr(swarm, "_STOPPING", 60)
    monkeypatch.setattr(ends, "_NODES", 0 if told else 60)
    service = await contract.start(rig, "a-1", stop_grace=0.1)
    monkeypatch.setattr(ends, "_DELAY", 0.3)
    with pytest.raises(EngineTimeout) as refusal:
        await rig.engine.stop(service, grace=0.1)
    node = HOSTNAME if told else NODE
    assert f"the Docker Swarm took too long: stop for service {service} on {node}" == str(
        refusal.value
    )


async def test_a_kill_does_not_wait_for_as_many_others_as_a_request_asks_for(
    rig: SimulatedRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "_MOST_AT_ONCE", 1)
    slow = await contract.start(rig, "a-1", "--stubborn", "1", stop_grace=60)
    quick = await contract.start(rig, "a-2")
    others = asyncio.create_task(rig.engine.stop(slow, grace=60))
    await until(lambda: slow in rig.engine._ends._awaited)  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        assert await rig.engine.stop(quick, grace=1)
    assert not others.done()
    others.cancel()
    await asyncio.wait({others})
