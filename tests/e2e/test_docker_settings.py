"""What is meant for Docker's own clients keeps the supervisor from no Engine, and leaks nothing."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.line import TcpLine, a_tcp_line
from tests.support.supervised import Supervised


@pytest.fixture
def over_tcp(engine: PrivateEngine, start: Start, tmp_path: Path) -> Iterator[TcpLine]:
    assert callable(start)
    with a_tcp_line(tmp_path / "open", engine.socket) as line:
        yield line


@pytest.fixture
def proxy() -> Iterator[socket.socket]:
    """A proxy that nobody is to ask."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.setblocking(False)  # noqa: FBT003
        yield listener


def _config(tmp_path: Path, content: str) -> str:
    folder = tmp_path / "docker"
    folder.mkdir()
    (folder / "config.json").write_text(content)
    return str(folder)


def _about_the_file(supervised: Supervised) -> list[str]:
    return [line for line in supervised.lines() if "config.json" in line]


def _works(supervised: Supervised) -> None:
    assert Response() == supervised.launch("timer", "t-1")
    assert ["t-1"] == supervised.running()
    assert Response() == supervised.kill("t-1")


def test_a_proxy_of_the_environment_is_not_between_it_and_the_engine(
    start: Start, over_tcp: TcpLine, proxy: socket.socket
) -> None:
    address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
    names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    proxies: dict[str, Any] = dict.fromkeys(names, address)
    supervised = start(DOCKER_HOST=over_tcp.host, **proxies)
    _works(supervised)
    with pytest.raises(BlockingIOError):
        proxy.accept()


@pytest.mark.parametrize(
    "content",
    [
        '{"auths": {"registry.example": {"auth": ""}}}',
        '{"proxies": null}',
        '{"auths": []}',
        '{"HttpHeaders": null}',
        "[]",
    ],
)
def test_an_odd_config_json_is_told_in_one_line_and_all_goes_on(
    start: Start, tmp_path: Path, content: str
) -> None:
    supervised = start(DOCKER_CONFIG=_config(tmp_path, content))
    _works(supervised)
    assert 1 == len(_about_the_file(supervised))


def test_proxies_of_config_json_with_their_passwords_reach_no_job(
    start: Start, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    proxy = {"httpProxy": "http://me:s3cret@proxy.example:3128", "noProxy": "s3cret.example"}
    content = json.dumps({"proxies": {"default": proxy}})
    supervised = start(DOCKER_CONFIG=_config(tmp_path, content))
    supervised.launch("timer", "t-1")
    environment = containers.environment(containers.one(docker_client, "t-1"))
    assert not [name for name in environment if "proxy" in name.lower()]
    assert "s3cret" not in str(environment)
    assert "s3cret" not in supervised.log()


def test_a_password_in_docker_host_is_not_printed(start: Start) -> None:
    supervised = start(ready=False, DOCKER_HOST="tcp://me:s3cret@localhost:2375")
    assert 1 == supervised.ended()
    assert "s3cret" not in supervised.log()
    assert "DOCKER_HOST=tcp://me:***@localhost:2375" in supervised.log()
