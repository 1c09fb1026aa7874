"""ListJobs: what is alive, in which state, in the order of launch; never waiting for the Engine."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import grpc
import pytest

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.stubborn import a_stubborn_one
from tests.support.supervised import Supervised, eventually

# A list comes from memory; this is generous for a machine that is busy with other things.
_AT_ONCE_SECONDS = 3.0


def _listed(supervised: Supervised) -> list[tuple[str, str, str]]:
    return [(job.name, job.identifier, job.status) for job in supervised.jobs()]


@pytest.fixture
def hanging(engine: PrivateEngine, shared: Supervised) -> Iterator[PrivateEngine]:
    """The Engine, which answers again when the test is over, before `shared` cleans up."""
    assert shared.process is not None
    yield engine
    engine.thaw()


def test_at_first_there_is_nothing(shared: Supervised) -> None:
    assert [] == shared.jobs()


def test_a_job_is_listed_with_its_name_identifier_and_status(shared: Supervised) -> None:
    assert Response() == shared.launch("timer", "é/世界 1")
    assert Response() == shared.launch("webhook", "x" * 512)
    assert [
        ("timer", "é/世界 1", "running"),
        ("webhook", "x" * 512, "running"),
    ] == _listed(shared)


def test_a_job_without_an_image_is_not_listed(shared: Supervised) -> None:
    assert Response() == shared.launch("nothing", "n-1")
    assert [] == shared.jobs()


def test_a_refused_launch_is_not_listed(shared: Supervised) -> None:
    assert 422 == shared.launch("missing", "m-1").error.code
    assert 404 == shared.launch("unknown", "m-1").error.code
    assert [] == shared.jobs()


def test_a_launch_under_way_is_starting_and_then_running(
    shared: Supervised, hanging: PrivateEngine
) -> None:
    assert Response() == shared.launch("timer", "before")
    hanging.freeze()
    with ThreadPoolExecutor(1) as pool:
        launch = pool.submit(shared.launch, "weather", "slow")
        eventually(lambda: 2 == len(shared.jobs()))
        began = time.monotonic()
        assert [("timer", "before", "running"), ("weather", "slow", "starting")] == _listed(shared)
        assert time.monotonic() - began < _AT_ONCE_SECONDS
        assert not launch.done()
        hanging.thaw()
        assert Response() == launch.result()
    assert [("timer", "before", "running"), ("weather", "slow", "running")] == _listed(shared)


def test_a_job_that_is_being_killed_is_stopping_and_then_gone(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    container = a_stubborn_one(shared, docker_client)
    assert Response() == shared.launch("timer", "other")
    with ThreadPoolExecutor(1) as pool:
        kill = pool.submit(shared.kill, "stubborn")
        eventually(lambda: "stopping" in {job.status for job in shared.jobs()})
        assert [("timer", "stubborn", "stopping"), ("timer", "other", "running")] == _listed(shared)
        assert containers.runs(container)
        assert not kill.done()
        assert Response() == kill.result()
    assert [("timer", "other", "running")] == _listed(shared)


def test_all_three_at_once(
    shared: Supervised, hanging: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "stays")
    a_stubborn_one(shared, docker_client, "goes")
    hanging.freeze()
    with ThreadPoolExecutor(2) as pool:
        kill = pool.submit(shared.kill, "goes")
        launch = pool.submit(shared.launch, "timer", "comes")
        expected = [
            ("timer", "stays", "running"),
            ("timer", "goes", "stopping"),
            ("timer", "comes", "starting"),
        ]
        eventually(lambda: expected == _listed(shared))
        hanging.thaw()
        assert [Response()] * 2 == [kill.result(), launch.result()]
    assert [("timer", "stays", "running"), ("timer", "comes", "running")] == _listed(shared)


def test_the_order_is_that_of_the_launches(shared: Supervised) -> None:
    order = ["m", "z", "a", "b/c", "é", "k"]
    for identifier in order:
        assert Response() == shared.launch("timer", identifier)
    assert order == [job.identifier for job in shared.jobs()]
    assert Response() == shared.launch("timer", "z")  # a dedup moves nothing
    assert order == [job.identifier for job in shared.jobs()]
    assert Response() == shared.kill("a")
    assert Response() == shared.launch("timer", "a")
    assert ["m", "z", "b/c", "é", "k", "a"] == [job.identifier for job in shared.jobs()]


def test_every_launch_of_a_reaction_is_listed(shared: Supervised) -> None:
    for name in ("mail", "timer", "mail"):
        assert Response() == shared.launch(name, "same")
    expected = [(name, "same", "running") for name in ("mail", "timer", "mail")]
    assert expected == _listed(shared)


def test_a_job_that_has_ended_is_not_listed(shared: Supervised) -> None:
    assert Response() == shared.launch("webhook", "ends", {"exit": 0})
    assert Response() == shared.launch("timer", "fails", {"exit": 3})
    assert Response() == shared.launch("timer", "stays")
    eventually(lambda: [("timer", "stays", "running")] == _listed(shared))


def test_before_the_first_listing_the_answer_is_unavailable(
    start: Start, engine: PrivateEngine, tmp_path: Path
) -> None:
    # Beside the module's own, hence the instance.
    path = tmp_path / "docker.sock"
    supervised = start(
        ready=False, DOCKER_HOST=f"unix://{path}", SUPERVISOR_INSTANCE="listed-later"
    )

    eventually(lambda: _answers(supervised))
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as raised:
            supervised.jobs()
        assert grpc.StatusCode.UNAVAILABLE == raised.value.code()
        assert "Docker Engine" in (raised.value.details() or "")
        assert time.monotonic() - began < _AT_ONCE_SECONDS
    path.symlink_to(engine.socket)
    eventually(supervised.is_ready)
    assert [] == supervised.jobs()


def _answers(supervised: Supervised) -> bool:
    try:
        return "SERVING" == supervised.health("liveness")
    except grpc.RpcError:
        return False
