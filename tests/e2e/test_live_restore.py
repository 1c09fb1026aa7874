"""An Engine that goes away and comes back while its containers run on: live-restore, and Podman."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing

import docker
import pytest

from scripts import chosen_engine
from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers, worker
from tests.support.agreement import agree, await_fall, await_return, exits
from tests.support.supervised import Supervised

pytestmark = pytest.mark.timeout(240)

_JOBS = ("t-1", "t-2")


@pytest.fixture(scope="module")
def lasting(engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """An Engine of its own, since the setting holds for all of an Engine's containers."""
    assert engine  # which has installed what this one needs
    with chosen_engine.private() as private:
        private.live_restore(on=True)
        with closing(docker.DockerClient(private.host)) as client:
            worker.make(client)
        yield private


@pytest.fixture
def client(lasting: PrivateEngine) -> Iterator[docker.DockerClient]:
    with closing(docker.DockerClient(lasting.host)) as made:
        yield made
        containers.remove_everything(made)


@pytest.fixture
def supervised(start: Start, lasting: PrivateEngine, client: docker.DockerClient) -> Supervised:
    """A supervisor on that Engine, with two jobs."""
    assert client
    one = start(DOCKER_HOST=lasting.host)
    for identifier in _JOBS:
        assert Response() == one.launch("timer", identifier)
    return one


@pytest.mark.parametrize("leave", [PrivateEngine.kill, PrivateEngine.stop], ids=["kill", "stop"])
def test_jobs_run_on_and_are_known_afterwards(
    supervised: Supervised,
    lasting: PrivateEngine,
    client: docker.DockerClient,
    leave: Callable[[PrivateEngine], None],
) -> None:
    before = {each: containers.one(client, each).attrs["State"]["Pid"] for each in _JOBS}
    leave(lasting)
    await_fall(supervised)
    lasting.start()
    await_return(supervised)
    agree(supervised, client, *_JOBS)
    assert before == {each: containers.one(client, each).attrs["State"]["Pid"] for each in _JOBS}
    assert {} == exits(supervised)
    assert Response() == supervised.launch("timer", "t-1")
    assert 2 == supervised.metric("supervisor_launches_total")
    assert Response() == supervised.kill("t-2")
    agree(supervised, client, "t-1")


def test_what_dies_while_it_is_away_is_lost_and_what_lives_stays(
    supervised: Supervised, lasting: PrivateEngine, client: docker.DockerClient
) -> None:
    process = int(containers.one(client, "t-1").attrs["State"]["Pid"])
    lasting.kill()
    await_fall(supervised)
    os.kill(process, signal.SIGKILL)
    lasting.start()
    await_return(supervised)
    agree(supervised, client, "t-2")
    assert {"lost": 1} == exits(supervised)
    assert Response() == supervised.launch("timer", "t-1")
    agree(supervised, client, *_JOBS)
