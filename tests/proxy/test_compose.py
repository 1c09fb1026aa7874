"""docker-compose.proxy.yml as it is, with the proxy's image built from Debian's packages."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from examples.images import debian_base
from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from service._generated.supervisor.v1.observer_pb2 import (
    DiagnoseRequest,
    GetJobRequest,
    ListJobsRequest,
    StatsRequest,
    StreamLogsRequest,
)
from tests.conftest import Start
from tests.support import catalog, containers
from tests.support.compose import ROOT, Compose
from tests.support.supervised import Supervised, eventually

# Two images have to be built.
pytestmark = pytest.mark.timeout(900)

_BASE, _IMAGE, _PROXY = "supervisor-test-debian", "area-supervisor", "area-supervisor-engine-proxy"
# This Engine has no network of its own for builds.
_OVERRIDE = """\
services:
  supervisor:
    volumes:
      - {catalog}:/etc/supervisor/catalog.toml:ro
  engine-proxy:
    build:
      network: host
"""


@pytest.fixture
def base_of_proxy(docker_client: docker.DockerClient, start: Start) -> Iterator[str]:
    """What the proxy's Dockerfile needs of its base: apt-get."""
    assert callable(start)  # it cleans up
    docker_client.api.import_image_from_file(str(debian_base.tarball("apt")), _BASE, "latest")
    yield _BASE
    for image in (_PROXY, _BASE):
        docker_client.images.remove(image)


@pytest.fixture
def contained(start: Start, tmp_path: Path) -> Iterator[Supervised]:
    """The clients of a supervisor that Compose runs."""
    assert callable(start)
    one = Supervised(tmp_path, {})
    with closing(one.channel):
        yield one


@pytest.fixture
def compose(
    contained: Supervised, engine: PrivateEngine, base_of_proxy: str, tmp_path: Path
) -> Iterator[Callable[..., str]]:
    """Runs a command of Compose on both files."""
    (tmp_path / "catalog.toml").write_text(catalog.TEXT)
    (tmp_path / "override.yml").write_text(_OVERRIDE.format(catalog=tmp_path / "catalog.toml"))
    project = Compose(engine, tmp_path)
    variables = "\n".join(
        (
            project.socket,
            "GO_ENV=production",
            "JOB_CATALOG=/etc/supervisor/catalog.toml",
            "PUBLISH_ADDRESS=127.0.0.1",
            f"GRPC_SERVER_PORT={contained.port}",
            f"METRICS_PORT={contained.metrics_port}",
            f"PROXY_BASE_IMAGE={base_of_proxy}",
        )
    )
    files = (ROOT / "docker-compose.proxy.yml", tmp_path / "override.yml")

    def run(*words: str) -> str:
        return project.run(*(f"--file={file}" for file in files), *words, variables=variables)

    yield run
    run("down", "--volumes")


def test_compose_builds_the_proxy_and_the_supervisor_works_behind_it(
    contained: Supervised,
    compose: Callable[..., str],
    supervisor_image: str,
    docker_client: docker.DockerClient,
) -> None:
    compose("build", "engine-proxy")
    docker_client.images.get(supervisor_image).tag(_IMAGE)
    compose("up", "--detach", "--no-build")
    eventually(contained.is_ready, within=60)
    assert Response() == contained.launch("timer", "t-1", {"say": "hello"})
    assert ["t-1"] == containers.live(docker_client)
    supervisor = docker_client.containers.get("area_supervisor")
    assert "10001:10001" == supervisor.attrs["Config"]["User"]
    sources = {mount["Source"] for mount in supervisor.attrs["Mounts"] if mount["Type"] == "bind"}
    assert not [source for source in sources if source.endswith(".sock")]
    _look_at(contained)
    assert Response() == contained.kill_all()
    # An ordinary user has written the history on the volume, and finds it again.
    compose("up", "--detach", "--no-build", "--force-recreate")
    eventually(contained.is_ready, within=60)
    ended = contained.observer.ListJobs(ListJobsRequest(include="ended"), timeout=10).jobs
    assert ["t-1"] == [job.identifier for job in ended]
    assert "refused" not in compose("logs", "engine-proxy")
    supervisor = docker_client.containers.get("area_supervisor")
    _, told = supervisor.exec_run(["area-supervisor", "doctor", "--json"])
    assert isinstance(told, bytes)
    found = json.loads(told)
    # What the proxy keeps it from seeing is no error; an image of the tests' catalogue is missing.
    assert {"images"} == {each["check"] for each in found if each["status"] == "error"}, found
    (callback,) = (each for each in found if each["check"] == "callback")
    assert "skipped" == callback["status"]
    assert "the socket proxy does not allow this request" in callback["message"]
    # Whoever takes over the supervisor, and asks for more.
    _, output = supervisor.exec_run(["/opt/supervisor/bin/python3", "-c", _ASKS_FOR_MORE])
    assert b"403" in output, output
    eventually(lambda: "refused: GET /images/json 403" in compose("logs", "engine-proxy"))
    compose("down", "--volumes")
    docker_client.images.remove(_IMAGE)


def _look_at(contained: Supervised) -> None:
    """All that the API to observe asks of the Engine."""
    observer = contained.observer
    assert observer.GetJob(GetJobRequest(identifier="t-1"), timeout=10).image_digest
    logs = StreamLogsRequest(identifier="t-1", tail=1)
    eventually(
        lambda: (
            [_HELLO]
            == [line.text for each in observer.StreamLogs(logs, timeout=20) for line in each.lines]
        )
    )
    (usage,) = observer.Stats(StatsRequest(), timeout=20).jobs
    assert usage.memory_bytes > 0
    findings = observer.Diagnose(DiagnoseRequest(), timeout=20).findings
    assert "images" in {each.check for each in findings}, findings


_HELLO = "hello"
_ASKS_FOR_MORE = """
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("/run/engine/docker.sock")
s.sendall(b"GET /images/json HTTP/1.0\\r\\n\\r\\n")
print(s.recv(1000))
"""
