"""The supervisor behind the example's proxy, which knows what may be asked of the Engine."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from service._generated.supervisor.v1.observer_pb2 import (
    DiagnoseRequest,
    GetJobRequest,
    StatsRequest,
    StreamLogsRequest,
)
from tests.conftest import Start
from tests.support import containers, worker
from tests.support.registry import a_local_registry
from tests.support.socket_proxy import SocketProxy, a_socket_proxy
from tests.support.supervised import eventually

_ID = "0123456789ab"


@pytest.fixture
def proxy(engine: PrivateEngine, start: Start, tmp_path: Path) -> Iterator[SocketProxy]:
    """The proxy, which is there until `start` has cleaned up."""
    assert callable(start)
    with a_socket_proxy(tmp_path / "proxy", engine.socket) as one:
        yield one


def test_the_whole_life_of_jobs_passes_through_the_proxy(
    start: Start, proxy: SocketProxy, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=proxy.host, JOB_STOP_GRACE_SECONDS="1")
    for _ in range(2):
        assert Response() == supervised.launch("timer", "t-1")
    assert Response() == supervised.launch("timer", "deaf", {"stubborn": "1"})
    assert Response() == supervised.launch("small", "long", {"say": "x" * 100_000})
    assert 422 == supervised.launch("missing", "m-1").error.code
    assert Response() == supervised.launch("mail", "m-2", {"say": "last words", "exit": 3})
    eventually(lambda: list(supervised.events("job.exited")))
    assert "last words" in next(supervised.events("job.exited"))["output"]
    assert 0 == supervised.stop()
    supervised.start(SUPERVISOR_ON_START="adopt")
    assert ["deaf", "long", "t-1"] == supervised.running()
    observer = supervised.observer
    assert observer.GetJob(GetJobRequest(identifier="t-1"), timeout=10).image_digest
    wanted = StreamLogsRequest(identifier="long", tail=1)
    assert list(observer.StreamLogs(wanted, timeout=20))
    assert 3 == len(observer.Stats(StatsRequest(), timeout=20).jobs)
    found = observer.Diagnose(DiagnoseRequest(), timeout=20).findings
    assert "images" in {each.check for each in found}, found  # of the job "missing"
    assert Response() == supervised.kill_all()
    assert [] == containers.everything(docker_client)
    assert [] == proxy.refused


def test_files_with_credentials_pass_through_the_proxy(
    start: Start, proxy: SocketProxy, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    catalog = tmp_path / "file.toml"
    catalog.write_text(
        f'[jobs]\nx = {{ kind = "action", image = "{worker.IMAGE}", auth = "file" }}'
    )
    settings: Any = {"JOB_CATALOG": str(catalog), "SUPERVISOR_ON_START": "adopt"}
    supervised = start(DOCKER_HOST=proxy.host, **settings)
    for identifier in ("fails", "is-removed"):
        params = {"show-auth": 1, "leave": 3}
        assert Response() == supervised.launch("x", identifier, params, {"token": "t0p-s3cret"})
    eventually(lambda: b"s3cret" in containers.one(docker_client, "fails").logs())
    supervised.stop(signal.SIGKILL)
    containers.one(docker_client, "is-removed").remove(force=True)
    supervised.start()
    eventually(lambda: list(supervised.events("credentials.removed")))
    containers.one(docker_client, "fails").kill(signal.SIGTERM)
    (exited,) = eventually(lambda: list(supervised.events("job.exited")))
    assert 'auth: {"token":"[redacted]"}' in exited["output"]
    assert [] == proxy.refused


def test_a_pull_passes_only_where_the_operator_allows_it(
    start: Start,
    engine: PrivateEngine,
    docker_client: docker.DockerClient,
    tmp_path: Path,
) -> None:
    catalog = tmp_path / "pulling.toml"
    with a_local_registry(tmp_path, logins=False) as registry:
        image = registry.push(docker_client, worker.IMAGE, "tests/worker:1").name
        catalog.write_text(
            f'[jobs]\nfar = {{ kind = "action", image = "{image}", pull = "missing" }}'
        )
        for pulls in (False, True):
            with a_socket_proxy(tmp_path / f"{pulls}", engine.socket, pulls=pulls) as proxy:
                supervised = start(DOCKER_HOST=proxy.host, JOB_CATALOG=str(catalog))
                code = supervised.launch("far", "f-1").error.code
                assert code == (0 if pulls else 502)
                assert bool(proxy.refused) is not pulls
                assert 0 == supervised.stop()
    containers.remove_everything(docker_client)
    docker_client.images.remove(image)


def test_an_engine_that_is_stopped_behind_the_proxy_has_lost_its_jobs(
    start: Start, proxy: SocketProxy, engine: PrivateEngine
) -> None:
    supervised = start(DOCKER_HOST=proxy.host)
    for n in range(12):
        assert Response() == supervised.launch("timer", f"t-{n}", {"leave": 0} if n % 2 else {})
    try:
        engine.stop()
        eventually(lambda: not supervised.is_ready())
    finally:
        engine.start()
    eventually(supervised.is_ready, within=30)
    eventually(supervised.is_idle)
    assert 12 == supervised.metric("supervisor_exits_total", outcome="lost")
    assert 0 == supervised.metric("supervisor_exits_by_others_total")


def test_an_event_stream_that_a_client_closes_is_closed_at_the_engine(
    proxy: SocketProxy, engine: PrivateEngine
) -> None:
    def connections() -> int:
        """To the Engine's own socket, as unix(7) lists them: one line for each end with a path."""
        return Path("/proc/net/unix").read_text().count(f" {engine.socket}\n")

    before = connections()
    with closing(_connect(proxy)) as client:
        client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: connections() == before + 1)
    eventually(lambda: connections() == before)


_NEVER = (
    ("POST", f"/containers/{_ID}/exec"),
    ("POST", f"/exec/{_ID}/start"),
    ("POST", f"/containers/{_ID}/attach"),
    ("GET", f"/containers/{_ID}/attach/ws"),
    ("PUT", f"/containers/{_ID}/archive?path=/"),
    ("GET", f"/containers/{_ID}/archive?path=/"),
    ("GET", f"/containers/{_ID}/export"),
    ("POST", f"/containers/{_ID}/update"),
    ("POST", "/containers/prune"),
    ("POST", "/build"),
    ("POST", "/session"),
    ("POST", "/grpc"),
    ("POST", "/images/create?fromImage=x"),
    ("POST", "/images/load"),
    ("DELETE", "/images/x"),
    ("POST", "/commit"),
    ("POST", "/volumes/create"),
    ("POST", "/networks/create"),
    ("POST", "/networks/x/connect"),
    ("POST", "/plugins/pull"),
    ("POST", "/swarm/init"),
    ("GET", "/secrets"),
    ("GET", "/images/json"),
    ("HEAD", "/containers/json"),
    ("DELETE", "/containers/json/../../volumes/x"),
    ("GET", "/v1.41/containers/%2e%2e/images/json"),
    ("POST", f"/containers/{_ID}%2Fexec"),
    ("POST", f"/containers/{_ID}/start/../exec"),
    ("POST", "//containers/create"),
    ("POST", "/v1.41/v1.41/containers/create"),
    ("POST", "/v1.41x/containers/create"),
    ("GET", "/images/../containers/x/json"),
    ("OPTIONS", "/"),
)


def test_a_request_that_the_supervisor_never_makes_is_refused_and_seen(proxy: SocketProxy) -> None:
    for method, path in _NEVER:
        status, body = _ask(proxy, method, path)
        assert 403 == status, f"{method} {path}"
        if method != "HEAD":
            assert "the socket proxy does not allow this" in json.loads(body)["message"]
    expected = [f"{method} {path.partition('?')[0]}" for method, path in _NEVER]
    # Several threads of HAProxy write its log, each for its own connections.
    eventually(lambda: sorted(expected) == sorted(proxy.refused))


def test_a_container_that_may_do_more_than_a_job_is_refused_and_seen(
    proxy: SocketProxy, docker_client: docker.DockerClient
) -> None:
    """tests/unit/engine/docker/test_engine_requests.py has more of them."""
    for more in ({"Privileged": True}, {"Binds": ["/:/host"]}, {"CapAdd": ["SYS_ADMIN"]}):
        body = json.dumps({"Image": worker.IMAGE, "HostConfig": more}).encode()
        assert 403 == _ask(proxy, "POST", "/v1.41/containers/create", body=body)[0]
    # An API that took it with the start, too.
    assert 403 == _ask(proxy, "POST", f"/v1.23/containers/{_ID}/start")[0]
    assert [] == containers.everything(docker_client)
    eventually(lambda: 4 == len(proxy.refused))


def test_a_connection_cannot_be_taken_out_of_the_proxys_sight(proxy: SocketProxy) -> None:
    for protocol in ("h2c", "websocket", "tcp"):
        headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": protocol}
        headers |= {"HTTP2-Settings": "AA", "Sec-WebSocket-Version": "13"}
        headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        with closing(_connect(proxy)) as connection:
            status = _ask_over(connection, "GET", "/_ping", headers)[0]
            # HAProxy 3.0 drops an offer of h2c, and passes the request on without it.
            assert status == 403 or (status, protocol) == (200, "h2c")
            assert 403 == _ask_over(connection, "POST", "/containers/a/exec")[0]
    assert (200, b"OK") == _ask(proxy, "GET", "/_ping")


def _connect(proxy: SocketProxy) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(str(proxy.socket))
    return connection


def _ask(
    proxy: SocketProxy,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> tuple[int, bytes]:
    """Status and body, over a connection of its own."""
    with closing(_connect(proxy)) as connection:
        return _ask_over(connection, method, path, headers, body)


def _ask_over(
    connection: socket.socket,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> tuple[int, bytes]:
    """Status and body. Nothing is written differently here than it was asked for."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    answer = HTTPResponse(connection, method=method)
    answer.begin()
    return answer.status, answer.read()
