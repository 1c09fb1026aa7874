"""Services of a test, and the machines that they run on."""

from collections.abc import Sequence
from typing import Any

from service.engine.workload_spec import WorkloadSpec
from tests.engine.rigs import SwarmRig
from tests.support import worker
from tests.support.swarm import SwarmNode

TIMEOUT = 30.0


def a_spec(rig: SwarmRig, name: str, *arguments: str, **more: Any) -> WorkloadSpec:
    """A workload; `launch` tells launches of one name apart."""
    labels = rig.selector | {"test.launch": more.pop("launch", name)}
    return WorkloadSpec(
        **{"name": name, "image": worker.IMAGE, "arguments": arguments, "labels": labels} | more
    )


async def start(rig: SwarmRig, name: str, *arguments: str, **more: Any) -> str:
    """Start it; its id."""
    return (await rig.engine.start(a_spec(rig, name, *arguments, **more), timeout=TIMEOUT)).id


def node_of(rig: SwarmRig, service_id: str, *, without: SwarmNode | None = None) -> SwarmNode:
    """The machine that runs a service; `without` one that cannot be asked."""
    (node,) = nodes_of(rig, service_id, without=without)
    return node


def nodes_of(
    rig: SwarmRig, service_id: str, *, without: SwarmNode | None = None
) -> Sequence[SwarmNode]:
    """All machines that run a service."""
    nodes = [node for node in rig.swarm.nodes if node is not without]
    return [node for node in nodes if runs_on(node, service_id)]


def runs_on(node: SwarmNode, service_id: str) -> bool:
    """Whether a machine runs a service."""
    label = "com.docker.swarm.service.id"
    return any(
        container["Labels"].get(label) == service_id and container["State"] == "running"
        for container in node.containers()
    )


def only_container(rig: SwarmRig) -> dict[str, Any]:
    """All that the only machine's Engine knows of its only container."""
    node = rig.swarm.manager
    (listed,) = node.containers()
    with node.client() as client:
        found: dict[str, Any] = client.api.inspect_container(listed["Id"])
    return found
