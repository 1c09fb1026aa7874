"""What only a Swarm can show: several machines, several supervisors, and its own refusals."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from observability.redaction.redactor import NO_SECRETS
from service.engine.docker.connection import Clients, Connection
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.events import Change
from service.engine.swarm import listing
from service.engine.swarm.engine import SwarmEngine
from service.engine.swarm.listing import Listings
from service.engine.swarm.machines import KnownNodes
from service.engine.workload_spec import Limits
from service.engine.workloads import Begun, Status
from service.errors import (
    EngineRefused,
    EngineTimeout,
    ImageMissing,
    NameTaken,
    NoRoom,
    NoSuchWorkload,
    TooLargeForEngine,
)
from tests.engine.on_swarm import TIMEOUT, a_spec, node_of, nodes_of, only_container, start
from tests.engine.rigs import Listener, SwarmRig, until, until_async
from tests.support import worker
from tests.support.swarm import SwarmNode, wait_for


async def _until_status(engine: Any, service_id: str, wanted: Status, *, within: float) -> None:
    async def check() -> bool:
        return (await engine.inspect(service_id)).status is wanted

    await until_async(check, within=within)


# One node


async def test_a_service_runs_as_asked(swarm_rig: SwarmRig) -> None:
    limits = Limits(memory=32 * 2**20, cpus=0.5, pids=20)
    environment = {"TRACEPARENT": "{{.Node.ID}}"}
    spec = a_spec(swarm_rig, "a-1", limits=limits, environment=environment, stop_grace=7.0)
    begun = await swarm_rig.engine.start(spec, timeout=TIMEOUT)
    node = swarm_rig.swarm.manager
    (listed,) = node.containers()
    with node.client() as client:
        assert client.info()["Name"] == begun.node
        found = client.api.inspect_container(listed["Id"])
    host = found["HostConfig"]
    assert ("host", True) == (host["NetworkMode"], host["Init"])
    assert (32 * 2**20, 500_000_000, 20) == (host["Memory"], host["NanoCpus"], host["PidsLimit"])
    assert "SIGTERM" == found["Config"]["StopSignal"]
    assert "TRACEPARENT={{.Node.ID}}" in found["Config"]["Env"]  # and no template
    assert swarm_rig.selector.items() <= found["Config"]["Labels"].items()


async def test_two_that_launch_the_same_at_once_get_one_service(swarm_rig: SwarmRig) -> None:
    others = [swarm_rig.engine_at(swarm_rig.swarm.manager) for _ in range(3)]
    engines: list[Any] = [swarm_rig.engine, *others]
    starts = [
        engine.start(a_spec(swarm_rig, "a-1", launch=f"launch-{n}"), timeout=TIMEOUT)
        for n, engine in enumerate(engines)
    ]
    results = await asyncio.gather(*starts, return_exceptions=True)
    (service_id,) = [each.id for each in results if isinstance(each, Begun)]
    losers = [each for each in results if isinstance(each, NameTaken)]
    assert 3 == len(losers)
    assert {service_id} == {each.holder for each in losers}
    # A loser hears of the winner when that runs, and not before.
    assert Status.LIVE is (await swarm_rig.engine.inspect(service_id)).status
    for engine in others:
        await engine.close()


async def test_a_launch_finds_what_its_own_earlier_try_has_made(swarm_rig: SwarmRig) -> None:
    service_id = await start(swarm_rig, "a-1")
    assert service_id == await start(swarm_rig, "a-1")


async def test_a_task_that_has_not_changed_is_not_decoded_again(
    swarm_rig: SwarmRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task is found again by how its text begins, so this needs the text of a real manager."""
    service_id = await start(swarm_rig, "a-1")
    listings = Listings(swarm_rig.selector, KnownNodes(), TolerantReader())
    client = Clients(Connection(swarm_rig.swarm.manager.host)).negotiate()
    first = listings.poll(client, [])
    monkeypatch.setattr(listing, "decode_json", lambda *_: pytest.fail("it is decoded"))
    assert first.tasks[service_id] is listings.poll(client, []).tasks[service_id]
    client.close()


async def test_a_name_is_held_until_the_task_is_dead(swarm_rig: SwarmRig) -> None:
    service_id = await start(swarm_rig, "a-1")
    stop = asyncio.create_task(swarm_rig.engine.stop(service_id, grace=10))
    while not stop.done():
        running = nodes_of(swarm_rig, service_id)
        names = await swarm_rig.engine.names()
        assert not running or "a-1" in names
        await asyncio.sleep(0.1)
    assert [] == nodes_of(swarm_rig, service_id)
    exit_ = await stop
    assert exit_ is not None
    assert 143 == exit_.code
    assert "a-1" in await swarm_rig.engine.names()
    await swarm_rig.engine.remove(service_id)
    assert "a-1" not in await swarm_rig.engine.names()


async def test_what_no_node_may_run_has_no_room_and_leaves_nothing(swarm_rig: SwarmRig) -> None:
    with swarm_rig.swarm.manager.client() as client:
        (node,) = client.nodes.list()
        spec = node.attrs["Spec"]
        node.update(spec | {"Availability": "pause"})
        try:
            began = time.monotonic()
            with pytest.raises(NoRoom, match="1 node not available"):
                await start(swarm_rig, "a-1")
            assert time.monotonic() - began < 20
            assert [] == await swarm_rig.engine.list()
        finally:
            node.reload()
            node.update(spec | {"Availability": "active"})
    await start(swarm_rig, "a-1")


async def test_a_network_that_services_cannot_have_is_refused_with_what_helps(
    swarm_rig: SwarmRig,
) -> None:
    with swarm_rig.swarm.manager.client() as client:
        local = client.networks.create("of-one-node")
        try:
            for network in ("no-such-network", "of-one-node"):
                with pytest.raises(EngineRefused, match=f"{network}.*docker network create"):
                    await start(swarm_rig, "a-1", network=network)
        finally:
            local.remove()
    assert [] == await swarm_rig.engine.list()


async def test_a_network_of_the_swarm_need_not_be_attachable(swarm_rig: SwarmRig) -> None:
    with swarm_rig.swarm.manager.client() as client:
        network = client.networks.create("for-services-alone", driver="overlay")

        def remove() -> bool:
            network.remove()
            return True

        try:
            service_id = await start(swarm_rig, "a-1", network="for-services-alone")
            networks = only_container(swarm_rig)["NetworkSettings"]["Networks"]
            assert ["for-services-alone"] == list(networks)
            await swarm_rig.engine.remove(service_id, force=True)
        finally:
            wait_for(remove, "the network is removed")


async def test_many_of_the_largest_run_and_end_at_once_and_larger_ones_are_refused(
    swarm_rig: SwarmRig,
) -> None:
    """Raft takes changes of up to 1.5 MiB, and several changes at once are one."""
    large = ["x" * 100_000] * 4
    starts = [start(swarm_rig, f"a-{number}", *large) for number in range(6)]
    services = await asyncio.gather(*starts)
    exits = await asyncio.gather(*(swarm_rig.engine.stop(each, grace=5) for each in services))
    assert [143] * 6 == [each.code for each in exits if each]
    with pytest.raises(TooLargeForEngine, match="params"):
        await start(swarm_rig, "a-9", *large, "x" * 100_000)


async def test_what_was_stopped_is_started_again_at_once_also_by_a_busy_manager(
    swarm_rig: SwarmRig,
) -> None:
    service_id = await start(swarm_rig, "a-1")
    await swarm_rig.engine.stop(service_id, grace=5)
    with _busy(swarm_rig.swarm.manager):
        await swarm_rig.engine.start_successor(
            service_id, {"test.attempt": "1"}, redact=lambda _: NO_SECRETS, timeout=20
        )


@contextmanager
def _busy(manager: SwarmNode) -> Iterator[None]:
    """Have it do something all the time: its scheduler waits for a second then."""
    done = threading.Event()

    def work() -> None:
        with manager.client() as client:
            for number in count():
                if done.is_set():
                    return
                client.secrets.create(name=f"busy-{number}", data=b"x").remove()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            yield
        finally:
            done.set()
        working.result()


async def test_an_exit_is_told_with_its_code_and_was_seen(swarm_rig: SwarmRig) -> None:
    listener = Listener(swarm_rig.engine)
    await until(lambda: bool(listener.heard))
    service_id = await start(swarm_rig, "a-1", "--exit", "9")
    await until(lambda: "exited" in listener.changes(service_id))
    (exited,) = [e for e in listener.events if e.change is Change.EXITED]
    assert (9, True) == (exited.exit_code, exited.witnessed)
    await listener.close()


async def test_what_somebody_scales_to_none_has_ended(swarm_rig: SwarmRig) -> None:
    service_id = await start(swarm_rig, "a-1")
    with swarm_rig.swarm.manager.client() as client:
        client.services.get(service_id).scale(0)  # type: ignore[no-untyped-call]
    await _until_status(swarm_rig.engine, service_id, Status.EXITED, within=60)
    await swarm_rig.engine.remove(service_id)
    with pytest.raises(NoSuchWorkload):
        await swarm_rig.engine.inspect(service_id)


# Three nodes


@pytest.fixture
def only_here(rig_of_three: SwarmRig) -> str:
    """An image that one worker alone has."""
    name = "supervisor-test-only-here"
    with rig_of_three.swarm.workers[1].client() as client:
        client.images.get(worker.IMAGE).tag(name)
    return name


async def test_an_image_that_some_nodes_lack_is_found_on_the_one_that_has_it(
    rig_of_three: SwarmRig, only_here: str
) -> None:
    service_id = await start(rig_of_three, "a-1", image=only_here)
    assert rig_of_three.swarm.workers[1] is node_of(rig_of_three, service_id)


async def test_an_image_that_no_node_has_is_missing_with_their_words(
    rig_of_three: SwarmRig,
) -> None:
    with pytest.raises(ImageMissing, match="No such image: supervisor-test-no-such-image"):
        await start(rig_of_three, "a-1", image="supervisor-test-no-such-image")
    assert [] == await rig_of_three.engine.list()


async def test_a_placement_is_heeded(rig_of_three: SwarmRig) -> None:
    node = rig_of_three.swarm.workers[0]
    with node.client() as client:
        node_id = client.info()["Swarm"]["NodeID"]
    for number in range(3):
        placed = await start(rig_of_three, f"a-{number}", placement=[f"node.id=={node_id}"])
        assert node is node_of(rig_of_three, placed)
    with pytest.raises(NoRoom, match=r"constraints not satisfied on 3 nodes\).*`placement`"):
        await start(rig_of_three, "a-9", placement=["node.labels.tier==nowhere"])
    assert 3 == len(await rig_of_three.engine.list())


async def test_supervisors_at_two_managers_see_the_same(rig_of_three: SwarmRig) -> None:
    engine: SwarmEngine = rig_of_three.engine_at(rig_of_three.swarm.manager)
    listener = Listener(engine)
    await until(lambda: bool(listener.heard))
    service_id = await start(rig_of_three, "a-1")
    await until(lambda: "started" in listener.changes(service_id))
    await rig_of_three.engine.remove(service_id, force=True)
    await until(lambda: "removed" in listener.changes(service_id))
    await listener.close()
    await engine.close()


async def test_a_launch_that_takes_too_long_holds_its_name_until_its_task_is_dead(
    rig_of_three: SwarmRig,
) -> None:
    node = rig_of_three.swarm.workers[0]
    with node.client() as client:
        placement = [f"node.id=={client.info()['Swarm']['NodeID']}"]
    spec = a_spec(rig_of_three, "a-1", placement=placement)
    node.freeze_containerd()
    try:
        with pytest.raises(EngineTimeout, match=f"its task is .* on {node.machine.name}"):
            # By then it is with its node also on a busy machine, and one that is not is removed.
            await rig_of_three.engine.start(spec, timeout=8)
        assert "a-1" in await rig_of_three.engine.names()
    finally:
        node.thaw()

    async def is_stopping() -> bool:
        return [True] == [each.stopping for each in await rig_of_three.engine.list()]

    # What undoes the launch may still be under way: the launch ends at its time, whatever happens.
    await until_async(is_stopping)
    (left,) = await rig_of_three.engine.list()
    await rig_of_three.engine.remove(left.id, force=True)
    assert "a-1" not in await rig_of_three.engine.names()
    assert [] == nodes_of(rig_of_three, left.id)
