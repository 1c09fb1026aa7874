"""A node dies, is cut off, is drained, or cannot start something, with jobs on it."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from docker.types import IPAMConfig, IPAMPool
from structlog.testing import capture_logs

from observability.redaction.redactor import NO_SECRETS
from service.engine.events import Change
from service.engine.workload_spec import Surroundings, Volume
from service.engine.workloads import Status
from service.errors import EngineRefused, EngineTimeout
from tests.engine.on_swarm import TIMEOUT, a_spec, node_of, runs_on, start
from tests.engine.rigs import Listener, SwarmRig, until, until_async
from tests.support.recorded_spans import Recorded
from tests.support.swarm import SwarmNode, wait_for

_LOST_WITHIN = 40.0  # seconds
_ADDRESS_WITHIN = 15.0  # seconds, on a busy machine


async def _one_on_a_worker(rig: SwarmRig, name: str = "a-") -> tuple[str, SwarmNode]:
    """A service that does not run on the manager, and its machine."""
    for number in range(9):
        service_id = await start(rig, f"{name}{number}")
        if (node := node_of(rig, service_id)) is not rig.swarm.manager:
            return service_id, node
    raise AssertionError("nothing runs on a worker")


async def test_what_a_dead_node_ran_is_lost_and_runs_elsewhere_at_once(
    rig_of_three: SwarmRig,
) -> None:
    service_id, node = await _one_on_a_worker(rig_of_three)
    listener = Listener(rig_of_three.engine)
    await until(lambda: bool(listener.heard))
    (told,) = [w for w in listener.listing.workloads if w.id == service_id]
    await asyncio.to_thread(node.lose_power)
    try:
        await until(lambda: "exited" in listener.changes(service_id), within=_LOST_WITHIN)
        (exited,) = [e for e in listener.events if e.id == service_id and e.change is Change.EXITED]
        assert (None, False) == (exited.exit_code, exited.witnessed)
        seen = await rig_of_three.engine.inspect(service_id)
        assert (Status.EXITED, None) == (seen.status, seen.exit_code)
        await rig_of_three.engine.stop(service_id, grace=1)  # nobody is there to be asked
        await rig_of_three.engine.remove(service_id)
        again = await start(rig_of_three, told.name, launch="again")
        assert node_of(rig_of_three, again, without=node) in rig_of_three.swarm.nodes
    finally:
        await asyncio.to_thread(node.start)
        await asyncio.to_thread(rig_of_three.swarm.wait_until_ready)
    await listener.close()
    assert not runs_on(node, service_id)


async def test_a_kill_on_a_node_that_is_lost_meanwhile_is_a_success(
    rig_of_three: SwarmRig,
) -> None:
    service_id, node = await _one_on_a_worker(rig_of_three)
    name, recorded = node.machine.name, Recorded()
    node.machine.cut_off()
    try:
        began = time.monotonic()
        with capture_logs() as logs, recorded.tracer.start_as_current_span("kill"):
            assert None is await rig_of_three.engine.stop(service_id, grace=1)
        assert {name: 1} == rig_of_three.kills_on_lost_nodes()
        assert [name] == [each["node"] for each in logs if each["event"] == "node.lost"]
        (kill,) = [each for each in recorded.spans if each.name == "kill"]
        assert name == (kill.attributes or {})["supervisor.node.lost"]
        assert time.monotonic() - began < _LOST_WITHIN
        await rig_of_three.engine.remove(service_id)
        again = await start(rig_of_three, "again")
        assert Status.LIVE is (await rig_of_three.engine.inspect(again)).status
    finally:
        node.machine.plug_in()
        await asyncio.to_thread(rig_of_three.swarm.wait_until_ready)
    await until(lambda: not runs_on(node, service_id), within=30)


async def test_what_a_drained_node_ran_was_ended_by_others(rig_of_three: SwarmRig) -> None:
    service_id, node = await _one_on_a_worker(rig_of_three)
    listener = Listener(rig_of_three.engine)
    await until(lambda: bool(listener.heard))
    with rig_of_three.swarm.manager.client() as client, node.client() as there:
        own_id = there.info()["Swarm"]["NodeID"]
        drained = client.nodes.get(own_id)
        spec = drained.attrs["Spec"]
        drained.update(spec | {"Availability": "drain"})
        try:
            await until(lambda: "exited" in listener.changes(service_id), within=20)
        finally:
            drained.reload()
            drained.update(spec | {"Availability": "active"})
    events = [e for e in listener.events if e.id == service_id]
    assert ["signalled", "exited"] == [e.change.value for e in events]
    assert (15, 143) == (events[0].signal, events[1].exit_code)
    await listener.close()


async def test_what_runs_elsewhere_by_now_has_its_output_while_its_first_node_is_away(
    rig_of_three: SwarmRig,
) -> None:
    service_id, node = await _one_on_a_worker(rig_of_three)

    async def is_lost() -> bool:
        return (await rig_of_three.engine.inspect(service_id)).status is Status.EXITED

    async def has_printed() -> bool:
        return "traceparent:" in await rig_of_three.engine.tail(service_id, lines=100)

    await asyncio.to_thread(node.lose_power)
    try:
        await until_async(is_lost, within=_LOST_WITHIN)
        again = await rig_of_three.engine.start_successor(
            service_id, {"test.attempt": "1"}, redact=lambda _: NO_SECRETS, timeout=TIMEOUT
        )
        assert node.machine.name != again.node
        await until_async(has_printed)
    finally:
        await asyncio.to_thread(node.start)
        await asyncio.to_thread(rig_of_three.swarm.wait_until_ready)


async def test_a_launch_that_its_node_refuses_names_the_node(rig_of_three: SwarmRig) -> None:
    node = rig_of_three.swarm.workers[0]
    with node.client() as client:
        placement = [f"node.id=={client.info()['Swarm']['NodeID']}"]
    await rig_of_three.allow("/nowhere")
    surroundings = Surroundings(volumes=(Volume("/nowhere/at-all", "/data"),))
    message = f"could not start a-1 on {node.machine.name}: .*bind source path does not exist"
    with pytest.raises(EngineRefused, match=message):
        await start(rig_of_three, "a-1", placement=placement, surroundings=surroundings)
    assert [] == await rig_of_three.engine.list()


async def _fill(rig: SwarmRig, network: str, placement: Sequence[str]) -> None:
    """Launch more jobs on a network than it has addresses."""
    for number in range(8):
        spec = a_spec(rig, f"a-{number}", network=network, placement=placement)
        await rig.engine.start(spec, timeout=_ADDRESS_WITHIN)


@pytest.mark.parametrize(
    ("one_node", "message"),
    [(True, r"its task is new \(its network may have no address left"), (False, "has no address")],
    ids=["the job has none", "its node has none"],
)
async def test_a_launch_for_which_its_network_has_no_address_left_says_so(
    one_node: bool, message: str, rig_of_three: SwarmRig
) -> None:
    with rig_of_three.swarm.manager.client() as client:
        few = IPAMConfig(pool_configs=[IPAMPool(subnet="10.124.0.0/29")])
        network = client.networks.create("few-addresses", driver="overlay", ipam=few)
        placement = [f"node.id=={client.info()['Swarm']['NodeID']}"] if one_node else []

        def remove() -> bool:
            network.remove()
            return True

        try:
            with pytest.raises(EngineTimeout, match=message):
                await _fill(rig_of_three, "few-addresses", placement)
        finally:
            await asyncio.to_thread(rig_of_three.swarm.clear)
            wait_for(remove, "the network is removed")
