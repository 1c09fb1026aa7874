"""A node dies, is cut off, or is drained, with jobs on it."""

import asyncio
import time

from structlog.testing import capture_logs

from service.engine.events import Change
from service.engine.workloads import Status
from tests.engine.on_swarm import node_of, runs_on, start
from tests.engine.rigs import Listener, SwarmRig, until
from tests.support.recorded_spans import Recorded
from tests.support.swarm import SwarmNode

_LOST_WITHIN = 40.0  # seconds


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
