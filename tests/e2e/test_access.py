"""A supervisor with an access file, as its operator meets it."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from service.access.tokens import hash_line
from tests.conftest import Start
from tests.support.supervised import refusal

_REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
_TOLD = ("client", "job", "identifier", "outcome", "logger", "method")


def _file(*clients: tuple[str, str]) -> str:
    return "\n".join(
        f'[clients.{name}]\nrole = "{role}"\ntokens = ["{hash_line(f"of-{name}")}"]\n'
        for name, role in clients
    )


def _bearer(name: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer of-{name}"),)


def _one() -> Iterator[bytes]:
    """A request, and no end of requests."""
    yield b""
    threading.Event().wait(60)


def test_what_a_client_launches_has_its_name_and_a_removed_client_is_out_within_seconds(
    start: Start, tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    path = tmp_path / "access.toml"
    path.write_text(_file(("backend", "backend"), ("eye", "observer")))
    supervised = start(ACCESS_FILE=str(path), METRICS_ACCESS="required", LOG_LEVEL="error")
    supervised.launch("timer", "t-1", metadata=_bearer("backend"))
    (container,) = docker_client.containers.list()
    assert "backend" == container.labels["area.supervisor.client"]
    assert (401, 200) == (supervised.http("/metrics")[0], supervised.http("/livez")[0])

    channel: Any = supervised.channel
    stream = channel.stream_stream(_REFLECTION)(_one(), metadata=_bearer("eye"), timeout=60)
    next(stream)
    path.write_text(_file(("backend", "backend")))
    changed = time.monotonic()
    with pytest.raises(grpc.RpcError):
        for _ in stream:
            pass
    assert grpc.StatusCode.UNAUTHENTICATED is stream.code()
    assert time.monotonic() - changed < 15, "5 s on a machine that does nothing else"
    with pytest.raises(grpc.RpcError) as raised:
        supervised.stub.ListJobs(Empty(), metadata=_bearer("eye"), timeout=30)
    assert grpc.StatusCode.UNAUTHENTICATED is raised.value.code()

    (audited,) = supervised.events("call.audited")  # also with LOG_LEVEL=error
    assert audited["peer"].startswith("127.0.0.1:")
    assert re.fullmatch("[0-9a-f]{32}", audited["trace_id"])
    told = {key: audited[key] for key in _TOLD}
    assert {
        "client": "backend",
        "job": "timer",
        "identifier": "t-1",
        "outcome": "launched",
        "logger": "audit",
        "method": "area_supervisor.AreaSupervisorService/LaunchJob",
    } == told


_IN_THE_CLEAR = (
    "tokens would travel in the clear; allowed is GRPC_TLS_CERT_FILE and GRPC_TLS_KEY_FILE, or a"
    " BIND_ADDRESS of loopback"
)
_NOT_ASKED = "certificates: no client is asked for one; allowed is GRPC_TLS_CLIENT_CA_FILE with it"
_NO_ROLE = 'clients.a.role: allowed is "backend", "operator" or "observer"'


def test_a_faulty_file_ends_the_start_and_touches_nothing_that_runs(
    start: Start, tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    path = tmp_path / "access.toml"
    path.write_text(_file(("a", "backend")))
    before = start(ACCESS_FILE=str(path))
    before.launch("timer", "t-1", metadata=_bearer("a"))
    assert 200 == before.http("/metrics")[0], "open without METRICS_ACCESS=required"
    before.stop()
    certified = '[clients.a]\nrole = "backend"\ncertificates = ["dns:a"]'
    for text, address, told in (
        (_file(("a", "backend")), "0.0.0.0", _IN_THE_CLEAR),
        (_file(("a", "king")), "127.0.0.1", _NO_ROLE),
        (certified, "127.0.0.1", _NOT_ASKED),
    ):
        path.write_text(text)
        refused = start(ready=False, ACCESS_FILE=str(path), BIND_ADDRESS=address)
        assert f"area-supervisor: ACCESS_FILE={path}: {told}" == refusal(refused)
    assert ["running"] == [each.status for each in docker_client.containers.list()]
