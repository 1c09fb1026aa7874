"""What every engine promises (service/engine/base.py), on a real Docker Engine, on a Swarm of one
node, and on two fakes.

One fake does what Docker does. The other one has no events, and no optional capability.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from observability.redaction.redactor import Redactor
from scripts.private_engine import PrivateEngine
from service.app.metric_labels import new_metrics
from service.engine.base import Engine
from service.engine.configuration import Trait
from service.engine.docker import calls, client
from service.engine.docker import stops as stops_module
from service.engine.docker.connection import Connection
from service.engine.docker.engine import DockerEngine
from service.engine.docker.podman import plain_name
from service.engine.events import Change
from service.engine.workload_spec import Limits, WorkloadSpec
from service.engine.workloads import Status
from service.errors import (
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    ImageMissing,
    NameTaken,
    NoSuchWorkload,
)
from service.support.retry import retry
from tests.engine.rigs import DockerRig, Listener, Rig, until, until_async
from tests.support import worker
from tests.support.http_line import an_http_line

NO_CALLER = "0" * 64
TIMEOUT = 30.0

# What only some engines can do (`Capabilities`).
_WHOLE_LIFE = ["created", "started", "exited", "removed"]
_CAN_DO_ALL = pytest.mark.parametrize("rig", ["fake", "docker"], indirect=True)
sets_aside = reports_pauses = reports_lack_of_memory = streams_events = _CAN_DO_ALL


def a_spec(rig: Rig, name: str, *arguments: str, **more: Any) -> WorkloadSpec:
    labels = rig.selector | {"test.contract.name": name} | more.pop("labels", {})
    return WorkloadSpec(
        **{"name": name, "image": worker.IMAGE, "arguments": arguments, "labels": labels} | more
    )


async def start(rig: Rig, name: str, *arguments: str, **more: Any) -> str:
    return (await rig.engine.start(a_spec(rig, name, *arguments, **more), timeout=TIMEOUT)).id


async def set_aside(rig: Rig, workload_id: str) -> str:
    capability = rig.engine.capabilities.set_aside
    assert capability is not None
    return await capability(workload_id)


async def exited(rig: Rig, workload_id: str) -> None:
    async def check() -> bool:
        return (await rig.engine.inspect(workload_id)).status is Status.EXITED

    await until_async(check)


async def listed(rig: Rig) -> dict[str, Status]:
    return {workload.name: workload.status for workload in await rig.engine.list()}


async def a_listener(rig: Rig) -> Listener:
    listener = Listener(rig.engine)
    await until(lambda: bool(listener.heard))
    return listener


@pytest.mark.parametrize(
    ("rig", "able"), [("fake", True), ("polled", False), ("docker", True)], indirect=["rig"]
)
async def test_an_engine_says_what_it_can_do(rig: Rig, able: bool) -> None:
    can = rig.engine.capabilities
    assert able == (can.pull is not None)
    told = can.set_aside, can.reports_lack_of_memory_within
    assert (able, able) == tuple(each is not None for each in told)
    assert able == can.streams_events


async def test_ping_returns_if_the_engine_answers(rig: Rig) -> None:
    await rig.engine.ping()


async def test_an_engine_is_leaving_that_answers_nobody_who_comes_anew(rig: Rig) -> None:
    assert [False] * 9 == await asyncio.gather(*[rig.engine.leaving() for _ in range(9)])
    await rig.go_away()
    assert await rig.engine.leaving()
    await rig.come_back()
    assert not await rig.engine.leaving()


async def test_a_process_that_is_no_workload_takes_none_for_itself(rig: Rig) -> None:
    await start(rig, "a-1")
    assert rig.engine.whereabouts(await rig.engine.list()).own is None


# start


async def test_an_engine_as_it_is_set_up_by_default_has_no_traits(rig: Rig) -> None:
    # Some Swarms have this one by their age.
    assert frozenset() == await rig.engine.traits() - {Trait.GAINS_PRIVILEGES}


async def test_start_creates_and_starts(rig: Rig) -> None:
    began = time.time()
    workload_id = await start(rig, "a-1")
    [workload] = await rig.engine.list()
    assert (workload_id, "a-1", Status.LIVE) == (workload.id, workload.name, workload.status)
    assert abs(workload.created_at - began) < 60


async def test_an_inspection_tells_what_it_is_and_of_which_image(rig: Rig) -> None:
    began = time.time()
    seen = await rig.engine.inspect(await start(rig, "a-1"))
    assert ("a-1", worker.IMAGE) == (seen.name, plain_name(seen.image))
    assert abs(seen.created_at - began) < 60
    if isinstance(rig, DockerRig):
        image = (await rig.inspect(seen.id))["Image"]
        assert f"sha256:{image.removeprefix('sha256:')}" == seen.image_digest
        assert [seen.image_digest] == [each.image_digest for each in await rig.engine.list()]


async def test_a_list_leaves_out_what_is_not_wanted(rig: Rig) -> None:
    one, other = await start(rig, "a-1"), await start(rig, "a-2")
    assert {one, other} == {w.id for w in await rig.engine.list()}
    assert [other] == [w.id for w in await rig.engine.list(unless=lambda w: w.id == one)]


async def test_start_passes_the_arguments_as_they_are(rig: Rig) -> None:
    arguments = (
        "first",
        "--target",
        "h:1",
        "",
        "two words",
        "--é",
        '{"a":["$HOME"]}',
        "line\nline",
    )
    workload_id = await start(rig, "a-1", *arguments)
    assert arguments == tuple((await rig.engine.inspect(workload_id)).arguments)
    await until_async(lambda: _tail_has(rig, workload_id, "argument: two words\n"))


async def test_start_sets_the_environment(rig: Rig) -> None:
    environment = {"TRACEPARENT": "00-abc", "AREA_AUTH": '{"a":"{{.Node.ID}} $HOME {{\\"{{}}"}'}
    workload_id = await start(rig, "a-1", environment=environment)
    seen = (await rig.engine.inspect(workload_id)).environment
    assert {f"{name}={value}" for name, value in environment.items()} <= {*seen}
    await until_async(lambda: _tail_has(rig, workload_id, "traceparent: 00-abc\n"))


async def test_start_sets_the_labels(rig: Rig) -> None:
    labels = {"test.contract.identifier": "é / ü", "test.contract.empty": ""}
    workload_id = await start(rig, "a-1", labels=labels)
    [workload] = await rig.engine.list()
    assert labels.items() <= workload.labels.items()
    assert labels.items() <= (await rig.engine.inspect(workload_id)).labels.items()


async def test_start_of_a_missing_image_says_so_and_leaves_nothing(rig: Rig) -> None:
    spec = a_spec(rig, "a-1", image="supervisor-test-no-such-image")
    with pytest.raises(ImageMissing, match="supervisor-test-no-such-image"):
        await rig.engine.start(spec, timeout=TIMEOUT)
    assert {} == await listed(rig)
    await start(rig, "a-1")


async def test_start_with_a_taken_name_tells_the_holder_and_leaves_it_alone(rig: Rig) -> None:
    holder = await rig.stranger("a-1")
    with pytest.raises(NameTaken) as caught:
        await start(rig, "a-1")
    assert holder == caught.value.holder
    assert Status.LIVE is (await rig.engine.inspect(holder)).status


@pytest.mark.parametrize("secret", ["7", "a", "container"])
async def test_a_short_secret_does_not_hide_the_holder(rig: Rig, secret: str) -> None:
    holder = await rig.stranger("a-1")
    with pytest.raises(NameTaken) as caught:
        await start(rig, "a-1", redact=Redactor({"t": secret}))
    assert holder == caught.value.holder


async def test_start_that_is_refused_leaves_nothing_behind(rig: Rig) -> None:
    with pytest.raises(EngineRefused):
        await start(rig, "a-1", network="supervisor-test-no-such-network")
    assert {} == await listed(rig)
    assert "a-1" not in await rig.engine.names()
    await start(rig, "a-1")


async def test_a_refusal_does_not_tell_what_is_to_be_redacted(rig: Rig) -> None:
    with pytest.raises(EngineRefused) as caught:
        await start(rig, "a-1", network="s3cret", redact=Redactor({"token": "s3cret"}))
    assert "[redacted]" in caught.value.message
    assert "s3cret" not in caught.value.message


async def test_starts_side_by_side(rig: Rig) -> None:
    ids = await asyncio.gather(*(start(rig, f"a-{n}") for n in range(8)))
    assert 8 == len(set(ids))
    assert {f"a-{n}": Status.LIVE for n in range(8)} == await listed(rig)


# stop


async def test_stop_sends_sigterm_and_returns_when_it_has_exited(rig: Rig) -> None:
    workload_id = await start(rig, "a-1")
    began = time.monotonic()
    await rig.engine.stop(workload_id, grace=40)
    assert time.monotonic() - began < 30
    seen = await rig.engine.inspect(workload_id)
    assert (Status.EXITED, 143) == (seen.status, seen.exit_code)


@streams_events
async def test_stop_tells_how_it_has_exited(rig: Rig) -> None:
    listener = await a_listener(rig)
    workload_id = await start(rig, "a-1")
    began = time.time()
    exited = await rig.engine.stop(workload_id, grace=10)
    assert exited is not None
    assert 143 == exited.code
    assert abs(exited.at - began) < 60
    assert await rig.engine.stop(workload_id, grace=10) is None  # somebody else knows
    await listener.close()


async def test_stop_sends_sigkill_after_the_grace(rig: Rig) -> None:
    ignores = ("--stubborn", "1", "--say", "I stay")
    workload_id = await start(rig, "a-1", *ignores, stop_grace=1.0)
    await until_async(lambda: _tail_has(rig, workload_id, "\nI stay\n"))
    began = time.monotonic()
    await rig.engine.stop(workload_id, grace=1)
    assert 0.9 <= time.monotonic() - began < 30
    seen = await rig.engine.inspect(workload_id)
    assert (Status.EXITED, 137) == (seen.status, seen.exit_code)


@pytest.mark.parametrize("name", ["SIGINT", "SIGUSR1"])
async def test_stop_sends_the_signal_that_the_start_has_named(rig: Rig, name: str) -> None:
    workload_id = await start(rig, "a-1", stop_signal=name)
    await rig.engine.stop(workload_id, grace=10)
    assert 128 + signal.Signals[name] == (await rig.engine.inspect(workload_id)).exit_code


async def test_without_an_init_the_program_is_the_first_process(rig: Rig) -> None:
    """The kernel keeps a signal from a first process that has no handler for it."""
    workload_id = await start(rig, "a-1", init=False, stop_grace=1.0)
    began = time.monotonic()
    await rig.engine.stop(workload_id, grace=1)
    assert 0.9 <= time.monotonic() - began
    assert 137 == (await rig.engine.inspect(workload_id)).exit_code


async def test_without_an_init_a_program_that_is_not_there_is_a_refusal(rig: Rig) -> None:
    with pytest.raises(EngineRefused):
        await start(rig, "a-1", image=worker.BROKEN, init=False)
    assert {} == await listed(rig)


async def test_stop_of_what_does_not_run_is_a_success(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--exit", "3")
    await exited(rig, workload_id)
    await rig.engine.stop(workload_id, grace=1)
    assert 3 == (await rig.engine.inspect(workload_id)).exit_code


async def test_stop_twice_at_once_is_a_success(rig: Rig) -> None:
    workload_id = await start(rig, "a-1")
    await asyncio.gather(*(rig.engine.stop(workload_id, grace=5) for _ in range(4)))
    assert 143 == (await rig.engine.inspect(workload_id)).exit_code


# remove


async def test_remove_returns_when_the_name_is_free(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--exit", "0")
    await exited(rig, workload_id)
    assert await rig.engine.remove(workload_id)
    assert workload_id != await start(rig, "a-1")


async def test_remove_of_what_is_not_there_is_a_success(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--exit", "0")
    await exited(rig, workload_id)
    await rig.engine.remove(workload_id)
    assert not await rig.engine.remove(workload_id)
    assert not await rig.engine.remove(NO_CALLER, force=True)


async def test_remove_at_once_by_many_is_a_success_for_all(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--exit", "0")
    await exited(rig, workload_id)
    removed = await asyncio.gather(*(rig.engine.remove(workload_id) for _ in range(8)))
    assert 1 == removed.count(True)
    await start(rig, "a-1")


async def test_remove_of_a_live_one_by_force_at_once_by_many_is_a_success_for_all(
    rig: Rig,
) -> None:
    rounds = 8 if isinstance(rig, DockerRig) else 2  # Docker shows this one time in four
    for name in (f"a-{round_}" for round_ in range(rounds)):
        workload_id = await start(rig, name)
        await asyncio.gather(*(rig.engine.remove(workload_id, force=True) for _ in range(8)))
        await start(rig, name)


async def test_remove_refuses_a_live_one_without_force(rig: Rig) -> None:
    workload_id = await start(rig, "a-1")
    with pytest.raises(EngineRefused):
        await rig.engine.remove(workload_id)
    assert {"a-1": Status.LIVE} == await listed(rig)


async def test_remove_by_force_takes_a_live_one(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--stubborn", "1", stop_grace=1.0)
    await rig.engine.remove(workload_id, force=True)
    assert {} == await listed(rig)
    await start(rig, "a-1")


# set aside


@sets_aside
async def test_what_is_set_aside_gives_up_its_name_once(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--exit", "0")
    await exited(rig, workload_id)
    assert not (await rig.engine.inspect(workload_id)).aside
    name = await set_aside(rig, workload_id)
    assert (await rig.engine.inspect(workload_id)).aside
    assert f"a-1.removing-{workload_id[:12]}" == name
    assert name == await set_aside(rig, workload_id)
    await start(rig, "a-1")
    assert {name: True, "a-1": False} == {w.name: w.aside for w in await rig.engine.list()}
    await rig.engine.remove(workload_id)
    assert {"a-1": Status.LIVE} == await listed(rig)


@sets_aside
async def test_what_is_gone_cannot_be_set_aside(rig: Rig) -> None:
    with pytest.raises(NoSuchWorkload):
        await set_aside(rig, NO_CALLER)


# inspect


async def test_inspect_of_a_live_one(rig: Rig) -> None:
    began = time.time()
    workload_id = await start(rig, "a-1")
    seen = await rig.engine.inspect(workload_id)
    assert (workload_id, Status.LIVE, None) == (seen.id, seen.status, seen.ended_at)
    assert abs(seen.started_at - began) < 60


async def test_inspect_of_an_exited_one(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--exit", "7")
    await exited(rig, workload_id)
    seen = await rig.engine.inspect(workload_id)
    assert (7, False) == (seen.exit_code, seen.oom_killed)
    assert seen.ended_at is not None
    # Docker notes the end of what exits at once a little before its start.
    assert -2 < seen.ended_at - seen.started_at < 60


async def test_an_inspection_keeps_its_arguments_out_of_its_repr(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--auth", "s3cret")
    assert "s3cret" not in repr(await rig.engine.inspect(workload_id))
    assert "s3cret" not in repr(a_spec(rig, "a-1", "--auth", "s3cret"))


@reports_lack_of_memory
async def test_a_lack_of_memory_is_reported_by_an_event_or_by_an_inspection(rig: Rig) -> None:
    """Docker may send the event after the exit, and then its inspections do not tell of it.

    Podman has no such event.
    """
    listener = await a_listener(rig)
    workload_id = await start(
        rig, "a-1", "--after", "1", "--eat", "1", limits=Limits(memory=16 * 2**20)
    )
    await exited(rig, workload_id)
    await until(lambda: "exited" in listener.changes(workload_id))
    seen = await rig.engine.inspect(workload_id)
    assert 137 == seen.exit_code
    if not seen.oom_killed:
        await until(lambda: "out of memory" in listener.changes(workload_id))
    await listener.close()


@pytest.mark.parametrize("rig", ["polled"], indirect=True)
async def test_what_an_engine_does_not_tell_is_not_claimed(rig: Rig) -> None:
    listener = await a_listener(rig)
    starved = await start(rig, "a-1", "--eat", "1")
    paused = await start(rig, "a-2")
    await rig.pause_by_hand(paused, paused=True)
    await until(lambda: "exited" in listener.changes(starved))
    await until(lambda: "started" in listener.changes(paused))
    seen = await rig.engine.inspect(starved)
    assert (137, False) == (seen.exit_code, seen.oom_killed)
    assert not (await rig.engine.inspect(paused)).paused
    assert [False, False] == [each.paused for each in await rig.engine.list()]
    assert {(None, None, False)} == {
        (event.exit_code, event.signal, event.witnessed) for event in listener.events
    }
    await listener.close()


# tail


async def test_tail_gives_the_last_lines_unredacted(rig: Rig) -> None:
    redact = Redactor("s3cret")
    workload_id = await start(rig, "a-1", "--say", "s3cret", "--exit", "1", redact=redact)
    await exited(rig, workload_id)
    assert "s3cret\n" == await rig.engine.tail(workload_id, lines=1)
    assert "traceparent: \ns3cret\n" == await rig.engine.tail(workload_id, lines=2)
    assert 6 == len((await rig.engine.tail(workload_id, lines=100)).splitlines())


# list and names


async def test_list_has_ours_live_or_not_and_nobody_elses(rig: Rig) -> None:
    await rig.stranger("b-1")
    await rig.stranger("b-2", dict.fromkeys(rig.selector, "another"))
    await start(rig, "a-1")
    await exited(rig, await start(rig, "a-2", "--exit", "0"))
    await until_async(lambda: _lists(rig, {"a-1": Status.LIVE, "a-2": Status.EXITED}))


async def test_find_goes_by_labels_alone(rig: Rig) -> None:
    both = {"test.role": "supervisor", "test.of": "a"}
    await rig.stranger("b-1", both)
    await rig.stranger("b-2", both | {"test.of": "b"})
    await start(rig, "a-1")
    (found,) = await rig.engine.find(both)
    assert ("b-1", Status.LIVE) == (found.name, found.status)
    assert [] == await rig.engine.find({"test.role": "backend"})


async def test_names_has_everybodys(rig: Rig) -> None:
    await rig.stranger("b-1")
    await exited(rig, await start(rig, "a-1", "--exit", "0"))
    assert ["a-1", "b-1"] == sorted(await rig.engine.names())


# watch


async def test_watch_begins_with_a_listing(rig: Rig) -> None:
    await rig.stranger("b-1")
    workload_id = await start(rig, "a-1")
    listener = await a_listener(rig)
    assert [workload_id] == [workload.id for workload in listener.listing.workloads]
    await listener.close()


async def test_watch_tells_of_a_whole_life_in_order(rig: Rig) -> None:
    listener = await a_listener(rig)
    workload_id = await start(rig, "a-1", "--exit", "9")
    await until(lambda: "exited" in listener.changes(workload_id))
    await rig.engine.remove(workload_id)
    await until(lambda: "removed" in listener.changes(workload_id))
    changes = listener.changes(workload_id)
    assert changes in (_WHOLE_LIFE, [each for each in _WHOLE_LIFE if each != "started"])
    assert all(rig.selector.items() <= event.labels.items() for event in listener.events)
    await listener.close()


@streams_events
async def test_a_stream_of_events_leaves_nothing_out_and_has_the_exit_code(rig: Rig) -> None:
    listener = await a_listener(rig)
    workload_id = await start(rig, "a-1", "--exit", "9")
    await until(lambda: "exited" in listener.changes(workload_id))
    assert ["created", "started", "exited"] == listener.changes(workload_id)
    codes = {event.change: event.exit_code for event in listener.events}
    assert {Change.EXITED: 9} == {change: code for change, code in codes.items() if code}
    assert all(event.witnessed for event in listener.events)
    await listener.close()


@streams_events
async def test_watch_tells_of_a_removal_by_force_and_of_a_start_by_hand(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--exit", "0")
    await exited(rig, workload_id)
    other_id = await start(rig, "a-2")
    listener = await a_listener(rig)
    await rig.start_by_hand(workload_id)
    await rig.engine.remove(other_id, force=True)
    await until(lambda: "removed" in listener.changes(other_id))
    await until(lambda: "exited" in listener.changes(workload_id))
    changes = [change for change in listener.changes(other_id) if change != "signalled"]
    assert ["exited", "removed"] == changes
    assert ["started", "exited"] == listener.changes(workload_id)
    await listener.close()


@streams_events
async def test_watch_tells_of_signals_before_the_exit_that_they_lead_to(rig: Rig) -> None:
    listener = await a_listener(rig)
    killed, stopped, removed = [await start(rig, name) for name in ("killed", "stopped", "removed")]
    stubborn = await start(rig, "stubborn", "--stubborn", "1", "--say", "I stay")
    crashed = await start(rig, "crashed", "--exit", "1")
    await until_async(lambda: _tail_has(rig, stubborn, "\nI stay\n"))
    await rig.kill_by_hand(killed, signal.SIGHUP)
    await rig.engine.stop(stopped, grace=10)
    await rig.engine.stop(stubborn, grace=1)
    await rig.engine.remove(removed, force=True)
    sent = {
        killed: [signal.SIGHUP],
        stopped: [signal.SIGTERM],
        stubborn: [signal.SIGTERM, signal.SIGKILL],
        removed: [signal.SIGKILL],
        crashed: [],
    }
    for workload_id, signals in sent.items():
        expected = ["signalled"] * len(signals) + ["exited"]
        await until(lambda i=workload_id: "exited" in listener.changes(i))  # type: ignore[misc]
        changes = [c for c in listener.changes(workload_id) if c in ("signalled", "exited")]
        assert expected == changes
        told = [e.signal for e in listener.events if e.id == workload_id and e.signal is not None]
        assert signals == told
    await listener.close()


@reports_pauses
async def test_a_pause_is_told_and_ends_with_an_unpause_or_with_the_workload(rig: Rig) -> None:
    workload_id = await start(rig, "a-1")
    listener = await a_listener(rig)
    for paused in (True, False, True):
        await rig.pause_by_hand(workload_id, paused=paused)
        (workload,) = await rig.engine.list()
        seen = await rig.engine.inspect(workload_id)
        assert (Status.LIVE, paused) == (workload.status, workload.paused)
        assert (Status.LIVE, paused) == (seen.status, seen.paused)
    await until(lambda: ["paused", "unpaused", "paused"] == listener.changes(workload_id))
    await rig.engine.stop(workload_id, grace=1)
    seen = await rig.engine.inspect(workload_id)
    assert (Status.EXITED, False) == (seen.status, seen.paused)
    await listener.close()


async def test_watch_says_nothing_about_anybody_else(rig: Rig) -> None:
    listener = await a_listener(rig)
    await rig.stranger("b-1")
    await rig.stranger("b-2", dict.fromkeys(rig.selector, "another"))
    last = await start(rig, "a-1")
    await until(lambda: "started" in listener.changes(last))
    assert {last} == {event.id for event in listener.events}
    await listener.close()


async def test_watch_leaves_no_gap_between_the_listing_and_the_events(rig: Rig) -> None:
    starts = [asyncio.create_task(start(rig, f"a-{n}")) for n in range(6)]
    listeners = [await a_listener(rig) for _ in range(4)]  # spread over the starts
    ids = set(await asyncio.gather(*starts))
    for listener in listeners:
        live = {w.id for w in listener.listing.workloads if w.status is Status.LIVE}
        await until(lambda: live | _started(listener) >= ids)  # noqa: B023 - awaited right here
        await listener.close()


async def test_watch_ends_when_the_connection_is_gone(rig: Rig) -> None:
    listener = await a_listener(rig)
    await rig.go_away()
    async with asyncio.timeout(10):
        await listener.ended
    await rig.come_back()
    again = await a_listener(rig)
    await again.close()


# An Engine that is not there, or does not answer

OPERATIONS: dict[str, Callable[[Engine, str], Awaitable[Any]]] = {
    "ping": lambda engine, _: engine.ping(),
    "stop": lambda engine, workload_id: engine.stop(workload_id, grace=1),
    "remove": lambda engine, workload_id: engine.remove(workload_id),
    "inspect": lambda engine, workload_id: engine.inspect(workload_id),
    "tail": lambda engine, workload_id: engine.tail(workload_id, lines=1),
    "logs": lambda engine, workload_id: anext(engine.logs(workload_id)),
    "stats": lambda engine, workload_id: engine.stats([workload_id], timeout=10),
    "list": lambda engine, _: engine.list(),
    "names": lambda engine, _: engine.names(),
    "watch": lambda engine, _: anext(engine.watch()),
}


@pytest.mark.parametrize("operation", ["stop", "inspect", "tail", "logs"])
async def test_a_workload_that_does_not_exist(rig: Rig, operation: str) -> None:
    with pytest.raises(NoSuchWorkload):
        await OPERATIONS[operation](rig.engine, NO_CALLER)


async def test_an_engine_that_is_not_there_is_unavailable_until_it_is_back(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--exit", "5")
    await exited(rig, workload_id)
    await rig.go_away()
    for operation in OPERATIONS.values():
        with pytest.raises(EngineUnavailable):
            await operation(rig.engine, workload_id)
    with pytest.raises(EngineUnavailable):
        await start(rig, "a-2")
    await rig.come_back()
    await rig.engine.ping()
    assert 5 == (await rig.engine.inspect(workload_id)).exit_code


async def test_an_engine_that_goes_away_under_a_call_is_unavailable(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--stubborn", "1", "--say", "I stay")
    await until_async(lambda: _tail_has(rig, workload_id, "\nI stay\n"))
    stop = asyncio.create_task(rig.engine.stop(workload_id, grace=30))
    done, _ = await asyncio.wait({stop}, timeout=0.5)
    assert not done
    await rig.go_away()
    with pytest.raises(EngineUnavailable):
        async with asyncio.timeout(10):
            await stop


async def test_an_engine_that_hangs_times_out(rig: Rig) -> None:
    await rig.engine.ping()
    await rig.hang()
    began = time.monotonic()
    with pytest.raises(EngineTimeout):
        await rig.engine.ping()
    assert time.monotonic() - began < 10
    await rig.wake()
    await rig.engine.ping()


async def test_what_a_hanging_engine_was_asked_to_start_may_still_come_to_exist(rig: Rig) -> None:
    await rig.engine.ping()
    await rig.hang()
    began = time.monotonic()
    with pytest.raises(EngineTimeout):
        await rig.engine.start(a_spec(rig, "a-1"), timeout=0.5)
    assert time.monotonic() - began < 10
    await rig.wake()
    await until_async(lambda: _lists(rig, {"a-1": Status.CREATED}))


async def test_close_does_not_wait_for_an_engine_that_hangs(rig: Rig) -> None:
    await rig.engine.ping()
    await rig.hang()
    ping = asyncio.create_task(rig.engine.ping())
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await rig.engine.close()
    await rig.wake()
    await asyncio.wait({ping})


async def test_nothing_is_called_once_it_is_closed(rig: Rig) -> None:
    await rig.engine.ping()
    await rig.engine.close()
    with pytest.raises(EngineUnavailable):
        await rig.engine.ping()
    with pytest.raises(EngineUnavailable):
        await rig.engine.remove(NO_CALLER)


# What only a real Engine can show


async def test_docker_runs_it_as_asked(docker_rig: DockerRig) -> None:
    limits = Limits(memory=32 * 2**20, cpus=0.5, pids=20)
    environment = {"TRACEPARENT": "00-abc"}
    workload_id = await start(docker_rig, "a-1", limits=limits, environment=environment)
    found = await docker_rig.inspect(workload_id)
    host = found["HostConfig"]
    assert ("host", True) == (host["NetworkMode"], host["Init"])
    assert found["Config"]["StopSignal"] in ("SIGTERM", "15")
    assert (32 * 2**20, 32 * 2**20) == (host["Memory"], host["MemorySwap"])
    assert (500_000_000, 20) == (host["NanoCpus"], host["PidsLimit"])
    assert (False, "no") == (host["AutoRemove"], host["RestartPolicy"]["Name"] or "no")
    assert "TRACEPARENT=00-abc" in found["Config"]["Env"]


async def test_docker_sets_no_limit_that_nobody_asked_for(docker_rig: DockerRig) -> None:
    host = (await docker_rig.inspect(await start(docker_rig, "a-1")))["HostConfig"]
    assert (0, 0, 0) == (host["Memory"], host["NanoCpus"], host["PidsLimit"] or 0)


async def test_docker_bears_a_label_that_hides_the_exit_code(docker_rig: DockerRig) -> None:
    listener = await a_listener(docker_rig)
    labels = docker_rig.selector | {"exitCode": "none of yours"}
    theirs = await docker_rig.stranger("theirs", labels)
    await asyncio.to_thread(docker_rig.client.api.kill, theirs)
    await until(lambda: "exited" in listener.changes(theirs))
    ours = await start(docker_rig, "a-1", "--exit", "9")
    await until(lambda: "exited" in listener.changes(ours))
    (code,) = (e.exit_code for e in listener.events if e.id == ours and e.change == Change.EXITED)
    assert 9 == code
    await listener.close()


async def test_docker_waits_for_a_removal_that_a_third_party_began(docker_rig: DockerRig) -> None:
    workload_id = await start(docker_rig, "a-1", "--exit", "0")
    await exited(docker_rig, workload_id)
    by_hand = asyncio.to_thread(docker_rig.client.api.remove_container, workload_id)
    removals = [docker_rig.engine.remove(workload_id) for _ in range(3)]
    results = await asyncio.gather(by_hand, *removals, return_exceptions=True)
    assert {*results[1:]} <= {True, False}
    assert results[1:].count(True) <= 1  # who has removed it; or else it was done by hand
    assert 0 == docker_rig.errors()
    await start(docker_rig, "a-1")


@pytest.mark.parametrize("listens", [True, False])
async def test_docker_stops_more_at_once_than_it_has_threads(
    docker_rig: DockerRig, monkeypatch: pytest.MonkeyPatch, *, listens: bool
) -> None:
    monkeypatch.setattr(calls, "BULK_THREADS", 2)
    metrics = new_metrics([], version="test", engine="docker", mode="test")
    connection = Connection(docker_rig.private.host)
    engine = DockerEngine(connection, docker_rig.selector, metrics)
    listener = Listener(engine) if listens else None
    await until(lambda: listener is None or bool(listener.heard))
    ids = await asyncio.gather(
        *(start(docker_rig, f"a-{n}", "--stubborn", "1", "--say", "!") for n in range(8))
    )
    for workload_id in ids:
        await until_async(lambda: _tail_has(docker_rig, workload_id, "\n!\n"))  # noqa: B023
    began = time.monotonic()
    await asyncio.gather(*(engine.stop(i, grace=4) for i in ids))
    assert time.monotonic() - began < 16  # one grace, and not four
    for workload_id in ids:
        assert 137 == (await docker_rig.engine.inspect(workload_id)).exit_code
    if listener is not None:
        await listener.close()
    await engine.close()


async def test_docker_is_left_with_no_stop_where_it_would_kill_at_once(
    docker_rig: DockerRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 23.0 and 24.0 do, of which none is here. Podman drops it, which the adapter knows."""
    version = docker_rig.client.version()["ApiVersion"]
    monkeypatch.setattr(client, "_KILL_ON_DISCONNECT", {version})
    monkeypatch.setattr(stops_module, "_LONGEST_TURN", 0.5)
    asked: list[str] = []

    def note(method: str, path: str) -> None:
        asked.append(f"{method} {path.partition(f'/v{version}/')[2]}")

    to = Path(docker_rig.private.host.removeprefix("unix://"))
    with an_http_line(tmp_path / "sock", to) as line:
        line.meddle = note
        metrics = new_metrics([], version="test", engine="docker", mode="test")
        engine = DockerEngine(Connection(f"unix://{tmp_path}/sock"), docker_rig.selector, metrics)
        listener = Listener(engine)
        await until(lambda: bool(listener.heard))
        ignores = ("--stubborn", "1", "--say", "!")
        quick = await start(docker_rig, "quick")
        stubborn = await start(docker_rig, "stubborn", *ignores)
        slow = await start(docker_rig, "slow", *ignores, "--after", "3", "--exit", "7")
        for workload_id in (slow, stubborn):
            await until_async(lambda: _tail_has(docker_rig, workload_id, "\n!\n"))  # noqa: B023
        began = time.monotonic()
        ends = await asyncio.gather(*(engine.stop(i, grace=5) for i in (quick, slow, stubborn)))
        assert 5 <= time.monotonic() - began < 15
        assert [143, 7, None] == [end and end.code for end in ends]
        assert 137 == (await engine.inspect(stubborn)).exit_code
        assert await engine.stop(quick, grace=5) is None  # it does not run
        await listener.close()
        await engine.close()
    stops = [path for path in asked if "/stop" in path]
    assert [f"POST containers/{stubborn}/stop?t=0"] == stops


async def test_docker_does_not_wait_for_an_event_that_got_lost(
    docker_rig: DockerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = await a_listener(docker_rig)
    workload_id = await start(docker_rig, "a-1")
    assert isinstance(docker_rig.engine, DockerEngine)
    monkeypatch.setattr(docker_rig.engine._exits, "handle_event", lambda _: None)
    async with asyncio.timeout(20):
        assert await docker_rig.engine.stop(workload_id, grace=60) is None
    assert 143 == (await docker_rig.engine.inspect(workload_id)).exit_code
    await listener.close()


async def test_docker_sees_an_exit_whose_event_stream_has_ended(docker_rig: DockerRig) -> None:
    listener = await a_listener(docker_rig)
    workload_id = await start(docker_rig, "a-1", "--stubborn", "1", "--say", "!")
    await until_async(lambda: _tail_has(docker_rig, workload_id, "\n!\n"))
    stop = asyncio.create_task(docker_rig.engine.stop(workload_id, grace=60))
    await asyncio.wait({stop}, timeout=1)
    await listener.close()
    await asyncio.to_thread(docker_rig.client.api.kill, workload_id)
    async with asyncio.timeout(20):  # a third of the grace
        await stop
    assert 137 == (await docker_rig.engine.inspect(workload_id)).exit_code


async def test_docker_counts_no_container_that_is_gone_as_an_error(docker_rig: DockerRig) -> None:
    for call in (docker_rig.engine.inspect("a-1"), docker_rig.engine.stop("a-1", grace=1)):
        with pytest.raises(NoSuchWorkload):
            await call
    await docker_rig.engine.remove("a-1")
    errors = "supervisor_engine_errors"
    counted = [f for f in docker_rig.metrics.registry.collect() if f.name == errors]
    assert 0 == sum(sample.value for family in counted for sample in family.samples)


async def test_docker_counts_every_call_that_took_too_long(docker_rig: DockerRig) -> None:
    """Whether its thread or the event loop notices first."""
    await docker_rig.engine.ping()
    await docker_rig.hang()
    for _ in range(3):
        with pytest.raises(EngineTimeout):
            await docker_rig.engine.ping()
    with pytest.raises(EngineTimeout):
        await docker_rig.engine.start(a_spec(docker_rig, "a-1"), timeout=0.2)
    await docker_rig.wake()
    await until_async(lambda: _lists(docker_rig, {"a-1": Status.CREATED}))
    timeouts = {
        operation: docker_rig.metrics.registry.get_sample_value(
            "supervisor_engine_errors_total", {"operation": operation, "reason": "timeout"}
        )
        for operation in ("ping", "create")
    }
    assert {"ping": 3, "create": 1} == timeouts


@pytest.fixture
def outlived(docker_rig: DockerRig) -> Iterator[PrivateEngine]:
    """An Engine whose containers outlive it."""
    docker_rig.private.live_restore(on=True)
    yield docker_rig.private
    docker_rig.private.live_restore(on=False)


async def test_docker_runs_again_what_has_ended_while_it_was_starting(
    docker_rig: DockerRig, outlived: PrivateEngine
) -> None:
    names = [f"a-{number}" for number in range(12)]
    ids = [await start(docker_rig, name) for name in names]
    processes = [(await docker_rig.inspect(each))["State"]["Pid"] for each in ids]
    await asyncio.to_thread(outlived.stop)
    starting = asyncio.create_task(asyncio.to_thread(outlived.start))
    for process in processes:  # one after the other, since only a certain moment matters
        await asyncio.wait({starting}, timeout=0.25)
        os.kill(process, signal.SIGKILL)
    await starting
    for name, workload_id in zip(names, ids, strict=True):
        await docker_rig.engine.remove(workload_id, force=True)
        await retry(lambda: start(docker_rig, name))  # noqa: B023 - called at once
    assert dict.fromkeys(names, Status.LIVE) == await listed(docker_rig)


async def _tail_has(rig: Rig, workload_id: str, text: str) -> bool:
    return text in await rig.engine.tail(workload_id, lines=100)


async def _lists(rig: Rig, expected: dict[str, Status]) -> bool:
    return expected == await listed(rig)


def _started(listener: Listener) -> set[str]:
    return {event.id for event in listener.events if event.change is Change.STARTED}
