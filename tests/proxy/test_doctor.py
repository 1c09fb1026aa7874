"""`area-supervisor doctor` behind the example's proxy."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts.private_engine import PrivateEngine
from tests.support import containers, worker
from tests.support.socket_proxy import SocketProxy, a_socket_proxy
from tests.support.supervised import eventually, free_port, run_command


@pytest.fixture
def proxy(engine: PrivateEngine, tmp_path: Path) -> Iterator[SocketProxy]:
    with a_socket_proxy(tmp_path / "proxy", engine.socket) as one:
        yield one


def test_it_says_what_the_proxy_keeps_it_from_and_asks_for_nothing_else(
    proxy: SocketProxy, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    assert "no container may be run" in _callback(proxy, tmp_path, "--no-container")
    assert [] == proxy.refused
    told = _callback(proxy, tmp_path)
    assert "the socket proxy does not allow this request (examples/socket-proxy/README.md" in told
    assert "from this process it is reached" in told
    (refused,) = eventually(lambda: proxy.refused)
    assert refused.startswith("POST /v1.")
    assert refused.endswith("/containers/create")
    assert [] == containers.everything(docker_client)


def _callback(proxy: SocketProxy, folder: Path, *options: str) -> str:
    """What it says of the backend. All that it looks at is in order."""
    catalog = folder / "examined.toml"
    catalog.write_text(f'[jobs]\ntimer = {{ kind = "action", image = "{worker.IMAGE}" }}')
    with closing(socket.create_server(("127.0.0.1", 0))) as backend:
        environment = {
            "DOCKER_HOST": proxy.host,
            "JOB_CATALOG": str(catalog),
            "GO_ENV": "production",
            "SUPERVISOR_INSTANCE": "behind-a-proxy",
            "GRPC_SERVER_PORT": str(free_port()),
            "METRICS_PORT": str(free_port()),
            "GRPC_CALLBACK_PORT": str(backend.getsockname()[1]),
        }
        ended = run_command(folder, environment, "doctor", "--json", *options)
    found: list[Mapping[str, Any]] = json.loads(ended.stdout)
    by_check = {each["check"]: each for each in reversed(found)}
    assert {"ok"} == {each["status"] for each in by_check.values()}, found
    message: str = by_check["callback"]["message"]
    return message
