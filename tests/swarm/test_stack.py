"""examples/swarm/stack.yml as it is deployed, and a Node client that has only the name."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import docker
import pytest

from scripts.private_engine import ensure_installed
from tests.support import node
from tests.support.stack import Stack, a_backend, in_the_network
from tests.support.supervised import eventually
from tests.support.swarm import Swarm, a_swarm
from tests.swarm.two import runs_on

# The image of the supervisor has to be built, and two replicas to be replaced.
pytestmark = pytest.mark.timeout(1200)
_UPDATED_WITHIN = 300.0


@pytest.fixture(scope="module")
def two_managers(docker_client: docker.DockerClient, supervisor_image: str) -> Iterator[Swarm]:
    """Two managers that have the image of the supervisor, and a worker."""
    ensure_installed()
    with a_swarm(managers=2, workers=1) as made:
        for each in made.managers:
            each.load(docker_client, supervisor_image)
        yield made


@pytest.fixture(scope="module")
def stack(
    two_managers: Swarm, supervisor_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Two healthy supervisors."""
    made = Stack(two_managers, tmp_path_factory.mktemp("stack"), supervisor_image)
    made.deploy()
    with two_managers.manager.client() as client:
        eventually(lambda: ["running"] * 2 == made.states(client), within=_UPDATED_WITHIN)
    yield made
    made.remove()
    two_managers.clear()


class _Told:
    """What a client at work tells of its launches, as it tells it."""

    def __init__(self, output: Any) -> None:
        self.launches: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._thread.start()

    def _read(self, output: Any) -> None:
        self.launches += map(json.loads, output)


def test_an_update_of_the_stack_fails_no_launch_of_a_node_client_that_has_its_name(
    stack: Stack, two_managers: Swarm
) -> None:
    (worker,) = two_managers.workers
    wanted = {"address": "dns:///supervisor:50051", "bridging": True}
    wanted |= {"many": 10_000, "milliseconds": 100}
    with in_the_network(worker) as inside, two_managers.manager.client() as client:
        found = subprocess.run(
            [*inside, "getent", "ahostsv4", "supervisor"], capture_output=True, check=True
        )
        assert 2 == len({line.split()[0] for line in found.stdout.splitlines()})
        with node.running("launches.js", wanted, inside=inside) as process:
            told = _Told(process.stdout)
            eventually(lambda: len(told.launches) >= 3, within=60)
            stack.docker("service", "update", "--force", "--detach", "area_supervisor")
            _until_updated(stack, client)
            after = len(told.launches)
            eventually(lambda: len(told.launches) >= after + 3, within=60)
        launches = list(told.launches)
    assert [] == [each for each in launches if each["code"]]
    run = [name for machine in two_managers.nodes for name in runs_on(machine)]
    assert {1} == {run.count(each["identifier"]) for each in launches}


def _until_updated(stack: Stack, client: docker.DockerClient) -> None:
    """Wait until both supervisors have been replaced; one of them runs at any time."""
    deadline = time.monotonic() + _UPDATED_WITHIN
    while (state := stack.update_state(client)) != "completed":
        assert state in ("", "updating"), state
        assert "running" in stack.states(client)
        assert time.monotonic() < deadline, stack.states(client)
        time.sleep(0.5)


def test_the_doctor_finds_nothing_wrong_inside_of_a_supervisor_of_the_stack(
    stack: Stack, two_managers: Swarm
) -> None:
    node = two_managers.manager
    with a_backend(node), node.client() as client:
        ended = stack.supervisor(client).exec_run(["area-supervisor", "doctor", "--json"])
    assert isinstance(ended.output, bytes)
    found = {each["check"]: each for each in reversed(json.loads(ended.output))}
    assert (0, set()) == (ended.exit_code, {*_checks(found, "error")}), found
    assert {"images", "leftovers"} == {*_checks(found, "skipped")}
    assert "any number may share the Swarm" in found["supervisor"]["message"]
    assert "a running supervisor has it" == found["ports"]["message"]
    assert "a container of this manager reaches it" in found["callback"]["message"]
    assert "there: area" == found["networks"]["message"]


def _checks(found: Mapping[str, Mapping[str, str]], status: str) -> list[str]:
    return [check for check, each in found.items() if each["status"] == status]
