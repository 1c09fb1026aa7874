"""A Swarm of private Engines, each in a network namespace of its own as if on a machine."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from typing import Any

import docker
import docker.errors
import requests

from scripts import chosen_engine, engines, leftovers
from scripts.private_engine import PrivateEngine
from tests.support import worker
from tests.support.namespaces import NETWORK, Machine, machines

_SECONDS = 60.0
_ERRORS = (docker.errors.APIError, requests.RequestException)


class SwarmNode(PrivateEngine):
    """An Engine on a machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        super().__init__()

    def command(self, program: str, *arguments: str) -> list[str]:
        """See `PrivateEngine.command`. A registry on another machine needs no certificate."""
        more = [f"--insecure-registry={NETWORK}"] if program == "dockerd" else []
        return self.machine.command(*super().command(program, *arguments, *more))

    def lose_power(self) -> None:
        """End both daemons and all containers at once; `start` brings the node back."""
        leftovers.end(self._run, self._run.name)

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        """A client of the tests' own."""
        with closing(docker.DockerClient(self.host)) as client:
            yield client

    def load(self, source: docker.DockerClient, image: str) -> None:
        """Give the node an image of another Engine."""
        with self.client() as client:
            client.images.load(b"".join(source.images.get(image).save(named=True)))

    def kill_containers(self) -> None:
        """End all that runs on the node."""
        with self.client() as client:
            for container in client.api.containers():
                with suppress(docker.errors.APIError):  # it has ended by itself
                    client.api.kill(container["Id"])

    def remove_exited_containers(self) -> None:
        """Remove what a node that has died does not remove when it is back."""
        with self.client() as client:
            for container in client.api.containers(all=True, filters={"status": "exited"}):
                with suppress(docker.errors.APIError):  # Swarm removes it
                    client.api.remove_container(container["Id"], v=True)

    def containers(self) -> Sequence[Any]:
        """All containers on the node, whatever they do, as a list tells of them."""
        with self.client() as client:
            found: Sequence[Any] = client.api.containers(all=True)
            return found


class Swarm:
    """Managers first, then workers. The first manager is the leader, as long as nobody kills it."""

    def __init__(self, nodes: Sequence[SwarmNode], managers: int) -> None:
        self.nodes = nodes
        self.managers = nodes[:managers]
        self.workers = nodes[managers:]

    @property
    def manager(self) -> SwarmNode:
        """The first one."""
        return self.nodes[0]

    def wait_until_ready(self) -> None:
        """Wait until all managers know all nodes as ready."""
        wait_for(lambda: all(map(self._knows_all, self.managers)), "all nodes are ready")

    def _knows_all(self, manager: SwarmNode) -> bool:
        with manager.client() as client:
            states = [str(node.attrs["Status"]["State"]) for node in client.nodes.list()]
        return states == ["ready"] * len(self.nodes)

    def clear(self) -> None:
        """Leave no service, no task and no container behind.

        What runs is killed first: Swarm waits for two seconds before it stops a container.
        """
        for node in self.nodes:
            node.kill_containers()
        with self.manager.client() as client:
            wait_for(lambda: _remove_services(client), "no service is left")
            wait_for(lambda: not client.api.tasks(), "no task is left")  # type: ignore[no-untyped-call]
            for secret in client.secrets.list():
                secret.remove()
        for node in self.nodes:
            node.remove_exited_containers()
            wait_for(lambda: not node.containers(), "no container is left")  # noqa: B023 - at once


def wait_for(check: Callable[[], bool], what: str) -> None:
    """Wait until it is so; AssertionError if that takes too long."""
    deadline = time.monotonic() + _SECONDS
    while True:
        with suppress(*_ERRORS):
            if check():
                return
        assert time.monotonic() < deadline, f"not within {_SECONDS} s: {what}"
        time.sleep(0.1)


@contextmanager
def a_swarm(managers: int = 1, workers: int = 0) -> Iterator[Swarm]:
    """A Swarm whose nodes have the images of the tests."""
    with ExitStack() as stack:
        network = stack.enter_context(machines(managers + workers))
        nodes = [SwarmNode(machine) for machine in network]
        for node in nodes:
            stack.callback(node.close)
        with ThreadPoolExecutor(len(nodes)) as pool:
            list(pool.map(_set_up, nodes))
        swarm = Swarm(nodes, managers)
        _join(swarm)
        swarm.wait_until_ready()
        yield swarm


def _set_up(node: SwarmNode) -> None:
    node.start()
    with node.client() as client:
        worker.make(client)


def _join(swarm: Swarm) -> None:
    first = swarm.manager
    with first.client() as client:
        client.swarm.init(
            advertise_addr=first.machine.address, listen_addr=_listens_at(first.machine)
        )
        client.swarm.reload()
        tokens = client.swarm.attrs["JoinTokens"]
    for node in swarm.nodes[1:]:
        token = tokens["Manager" if node in swarm.managers else "Worker"]
        with node.client() as client:
            client.swarm.join(
                remote_addrs=[f"{first.machine.address}:2377"],
                join_token=token,
                advertise_addr=node.machine.address,
                listen_addr=_listens_at(node.machine),
            )


def _listens_at(machine: Machine) -> str:
    return f"{machine.address}:2377"


def _remove_services(client: docker.DockerClient) -> bool:
    found = client.services.list()
    for service in found:
        with suppress(docker.errors.NotFound):
            service.remove()  # type: ignore[no-untyped-call]
    return not found


@contextmanager
def of_one() -> Iterator[SwarmNode]:
    """A Swarm of one node; that node."""
    with a_swarm() as made:
        yield made.manager


def chosen() -> AbstractContextManager[PrivateEngine]:
    """The Engine that `TEST_ENGINE` says; of a Swarm, its only node."""
    return of_one() if engines.chosen() == engines.SWARM else chosen_engine.private()


def settings() -> dict[str, str]:
    """What a supervisor is told for the engine that was chosen, beside its address."""
    if engines.chosen() != engines.SWARM:
        return {}
    return {
        "SUPERVISOR_ENGINE": "swarm",
        "GRPC_CALLBACK_HOST": "backend.test",
        "SUPERVISOR_ON_START": "remove",  # as is the default of all other engines
    }


def remove_services(client: docker.DockerClient) -> None:
    """Remove all services where a Swarm was chosen for the tests: their containers follow."""
    if engines.chosen() == engines.SWARM:
        wait_for(lambda: _remove_services(client), "no service is left")
        wait_for(lambda: not client.api.tasks(), "no task is left")  # type: ignore[no-untyped-call]


def callback() -> str:
    """What jobs get as `--target`, unless a test sets it."""
    return f"{settings().get('GRPC_CALLBACK_HOST', 'localhost')}:50050"


def set_availability(swarm: Swarm, node: SwarmNode, availability: str) -> None:
    """Let a node have tasks (`active`), or none (`drain`)."""
    with node.client() as client:
        node_id = client.info()["Swarm"]["NodeID"]
    with swarm.manager.client() as client:
        found = client.nodes.get(node_id)
        found.update(found.attrs["Spec"] | {"Availability": availability})
