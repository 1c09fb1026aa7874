"""The last lines of a job that failed, as its event has them."""

from pathlib import Path

import docker
import pytest

from tests.conftest import Start
from tests.support import worker
from tests.support.supervised import eventually

_IMAGE = "supervisor-test-two-streams"
# The Engine reads two pipes: what is written at the same moment may change places.
_PROGRAM = "echo one; sleep 0.5; echo two >&2; sleep 0.5; echo three; exit 3"


@pytest.fixture
def two_streams(docker_client: docker.DockerClient) -> str:
    """The image of a worker that writes to both of its streams."""
    program = ["/bin/busybox", "sh", "-c", _PROGRAM]
    container = docker_client.containers.create(worker.IMAGE, entrypoint=program, command=[])
    container.commit(_IMAGE)
    container.remove()
    return _IMAGE


def test_stdout_and_stderr_are_one_text_in_the_order_of_the_engine(
    start: Start, two_streams: str, tmp_path: Path
) -> None:
    path = tmp_path / "two-streams.toml"
    path.write_text(f'[jobs]\ntimer = {{ kind = "action", image = "{two_streams}" }}\n')
    supervised = start(JOB_CATALOG=str(path))
    supervised.launch("timer", "t-1")
    (event,) = eventually(lambda: list(supervised.events("job.exited")))
    assert (["one", "two", "three"], "error") == (event["output"], event["outcome"])
