"""The Swarms of tests that take minutes, and supervisors on them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.private_engine import ensure_installed
from tests.e2e.conftest import base, collector, listening, supervisor_image, worker_image
from tests.engine.conftest import rig_of_three, swarm_of_three
from tests.support.supervised import Supervised
from tests.support.swarm import Swarm, SwarmNode, a_swarm, set_availability

__all__ = [
    "base",
    "collector",
    "listening",
    "rig_of_three",
    "supervisor_image",
    "swarm_of_three",
    "worker_image",
]

Begin = Callable[..., Supervised]


@pytest.fixture(scope="session")
def managers() -> Iterator[Swarm]:
    """A Swarm of three managers and two workers."""
    ensure_installed()
    with a_swarm(managers=3, workers=2) as made:
        for node in made.managers:  # what dies with a manager should be no job
            set_availability(made, node, "drain")
        yield made


@pytest.fixture
def begin(managers: Swarm, catalog: Path, tmp_path: Path) -> Iterator[Begin]:
    """A function that starts a supervisor at a manager; all is well and empty afterwards."""
    with ExitStack() as stack:

        def begin_one(node: SwarmNode, *, ready: bool = True, **environment: str) -> Supervised:
            settings = {
                "DOCKER_HOST": node.host,
                "JOB_CATALOG": str(catalog),
                "SUPERVISOR_ENGINE": "swarm",
                "GRPC_CALLBACK_HOST": "backend.test",
            }
            supervised = Supervised(tmp_path, settings | environment)
            stack.push(supervised)
            return supervised.start(ready=ready)

        yield begin_one
    _mend(managers)


def _mend(swarm: Swarm) -> None:
    for node in swarm.nodes:
        node.machine.plug_in()
        node.start()
    swarm.wait_until_ready()
    swarm.clear()
