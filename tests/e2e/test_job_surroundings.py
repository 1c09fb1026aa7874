"""What the catalogue says of a job's surroundings, from the file to the inside of its container."""

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import NotFound

from scripts import engines
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers, worker
from tests.support.supervised import Supervised, eventually, refusal

_VOLUME = "supervisor-test-kept"
_SECRET, _PASSED = "hunter2-in-the-catalogue", "hunter2-passed-on"
_LOOK = 'pwd; while read -r line || [ -n "$line" ]; do echo "$line"; done </data/file'
_READ = 'read -r line </kept/file; echo "$line"'
_CATALOG = f"""
[defaults]
labels = {{ "org.example.team" = "weather" }}
log = {{ driver = "none" }}

[jobs.timer]
kind = "action"
image = "{worker.IMAGE}"
working_dir = "/srv"
environment = {{ API_KEY = "{_SECRET}", kind = "a name like a key's" }}
pass_environment = ["PASSED_ON", "NOT_THERE"]
network = "none"
volumes = ["{_VOLUME}:/kept", "FOLDER:/data:ro"]
shm_size = "1m"
log = {{ options = {{ max-size = "1m" }} }}

[jobs.silent]
kind = "action"
image = "{worker.IMAGE}"

[jobs.lost]
kind = "action"
image = "{worker.IMAGE}"
network = "{_SECRET}"
environment = {{ A = "{_SECRET}" }}

[jobs.kata]
kind = "action"
image = "{worker.IMAGE}"
runtime = "kata"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the host, which jobs may read."""
    made = tmp_path / "folder"
    made.mkdir()
    (made / "file").write_text("from the host")
    return made


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "surroundings.toml"
    path.write_text(_CATALOG.replace("FOLDER", str(folder)))
    return {
        "JOB_CATALOG": str(path),
        "ALLOWED_HOST_PATHS": f"/nowhere:{folder}",
        "PASSED_ON": _PASSED,
        "SUPERVISOR_ON_START": "adopt",
        "JOB_STOP_GRACE_SECONDS": "1",
    }


@pytest.fixture
def volume(docker_client: docker.DockerClient, start: Start) -> Iterator[None]:
    """Removes the volume that jobs have made."""
    assert callable(start)
    yield
    containers.remove_everything(docker_client)
    with suppress(NotFound):
        docker_client.volumes.get(_VOLUME).remove()


def _inside(client: docker.DockerClient, identifier: str, script: str) -> str:
    """What a shell prints in the container of a job."""
    container = containers.one(client, identifier)
    output = container.exec_run(["/bin/busybox", "sh", "-c", script]).output
    assert isinstance(output, bytes)
    return output.decode()


@pytest.mark.usefixtures("volume")
def test_a_job_has_its_surroundings_before_and_after_a_crash_of_the_supervisor(
    start: Start, settings: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    supervised = start(**settings)
    assert Response() == supervised.launch("timer", "t-1")
    container = containers.one(docker_client, "t-1")
    environment = containers.environment(container)
    assert {"API_KEY": _SECRET, "PASSED_ON": _PASSED}.items() <= environment.items()
    assert "NOT_THERE" not in environment
    assert ("weather", "timer") == (
        container.labels["org.example.team"],
        container.labels["area.supervisor.job"],
    )
    host = containers.host_config(container)
    assert ("none", 2**20) == (host["NetworkMode"], host["ShmSize"])
    options = None if engines.kind() == "Podman" else {"max-size": "1m"}  # it does not tell them
    assert {"Type": "json-file", "Config": options} == host["LogConfig"]
    assert "/srv\nfrom the host\n" == _inside(docker_client, "t-1", _LOOK)
    _inside(docker_client, "t-1", "echo kept >/kept/file")
    assert -signal.SIGKILL == supervised.stop(signal.SIGKILL)
    supervised.start()
    assert ["t-1"] == supervised.running()
    assert Response() == supervised.kill("t-1")
    assert Response() == supervised.launch("timer", "t-1")
    assert "kept\n" == _inside(docker_client, "t-1", _READ)
    _assert_no_secret(supervised)


@pytest.mark.usefixtures("volume")
def test_what_cannot_be_had_is_told_at_the_start_or_by_the_launch(
    start: Start, settings: dict[str, Any]
) -> None:
    supervised = start(**settings)
    told = eventually(lambda: _noticed(supervised, 3))
    assert "no runtime kata, and refuses each launch of kata" in told["runtime"]
    assert "NOT_THERE is not set: timer are launched without it" in told["pass_environment"]
    assert "GRPC_CALLBACK_HOST" in told  # for the job that is in another network
    for job, words in (("kata", "kata"), ("lost", "network")):
        error = supervised.launch(job, job).error
        assert 502 == error.code
        assert words in error.message
        assert _SECRET not in error.message
    assert Response() == supervised.launch("silent", "s-1", {"exit": 3})
    (event,) = eventually(lambda: list(supervised.events("job.exited")))
    output = "(the output cannot be read: its log driver does not give it back)"
    assert [output] == event["output"]
    assert Response() == supervised.launch("timer", "t-1", {"say": f"with {_PASSED}", "exit": 3})
    event = eventually(lambda: _exited(supervised, "t-1"))
    assert "with [redacted]" in event["output"]
    assert 0 == supervised.metric("supervisor_engine_errors_total", operation="logs")
    _assert_no_secret(supervised)


def _exited(supervised: Supervised, identifier: str) -> dict[str, Any]:
    """What the log says of the end of a job; empty before that."""
    found = (e for e in supervised.events("job.exited") if e["identifier"] == identifier)
    return next(found, {})


def _noticed(supervised: Supervised, count: int) -> dict[str, str]:
    """What the start has told of, once it is so much."""
    found = {e["about"]: e["meaning"] for e in supervised.events("surroundings.noticed")}
    return found if len(found) >= count else {}


def _assert_no_secret(supervised: Supervised) -> None:
    for secret in (_SECRET, _PASSED):
        assert secret not in supervised.log()
        assert secret not in supervised.http("/metrics")[1]


@pytest.mark.parametrize(
    ("allowed", "told"),
    [
        ("", "is not in ALLOWED_HOST_PATHS, which is not set"),
        ("/elsewhere", "is not in ALLOWED_HOST_PATHS, which is /elsewhere"),
    ],
)
def test_a_folder_of_the_host_that_nobody_has_allowed_ends_the_start(
    start: Start, settings: dict[str, Any], folder: Path, allowed: str, told: str
) -> None:
    supervised = start(ready=False, **settings | {"ALLOWED_HOST_PATHS": allowed})
    assert f"jobs.timer.volumes: {folder}: {told}" in refusal(supervised)
