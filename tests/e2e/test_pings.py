"""Clients that ping, so that nothing on the way forgets their connection; and one that floods."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from service._generated.area_supervisor_pb2 import JobId
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support.stubborn import a_stubborn_one
from tests.support.supervised import Supervised, eventually

_EACH_SECOND = [
    ("grpc.keepalive_time_ms", 1000),
    ("grpc.keepalive_timeout_ms", 5000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
_PING = b"\0\0\x08\x06\0\0\0\0\0"
_GOAWAY = 7
_ENHANCE_YOUR_CALM = 11


@pytest.fixture
def patient(start: Start) -> Supervised:
    """A supervisor whose kills take a while: as many pings as gRPC never allows by itself."""
    return start(JOB_STOP_GRACE_SECONDS="8")


@contextmanager
def _pinging(supervised: Supervised) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{supervised.port}", _EACH_SECOND) as channel:
        yield channel


def test_a_kill_that_takes_long_is_not_cut_off(
    patient: Supervised, docker_client: docker.DockerClient
) -> None:
    a_stubborn_one(patient, docker_client, "t-1")
    with _pinging(patient) as channel:
        stub = AreaSupervisorServiceStub(channel)
        assert Response() == stub.KillJob(JobId(identifier="t-1"), timeout=60)
    assert [] == patient.running()


def test_a_watch_and_a_quiet_connection_are_not_cut_off(patient: Supervised) -> None:
    with _pinging(patient) as watching, _pinging(patient) as quiet:
        states: list[grpc.ChannelConnectivity] = []
        quiet.subscribe(states.append, try_to_connect=True)
        eventually(lambda: grpc.ChannelConnectivity.READY in states)
        watch: Any = HealthStub(watching).Watch(  # type: ignore[attr-defined]
            HealthCheckRequest(service="liveness"), timeout=8
        )
        with pytest.raises(grpc.RpcError) as ended:
            for _ in watch:
                pass
        assert grpc.StatusCode.DEADLINE_EXCEEDED is ended.value.code()
        assert grpc.ChannelConnectivity.READY is states[-1]


def test_a_flood_of_pings_is_hung_up_on(patient: Supervised) -> None:
    before = _cpu(patient)
    for _ in range(5):
        assert (_GOAWAY, _ENHANCE_YOUR_CALM) == _answer_to_a_flood(patient)
    assert _cpu(patient) - before < 2
    assert "SERVING" == patient.health()


def _answer_to_a_flood(supervised: Supervised) -> tuple[int, int]:
    """The kind of the last frame, and its error."""
    with socket.create_connection(("127.0.0.1", supervised.port), 30) as flooding:
        flooding.sendall(_HELLO)
        kind, error = 0, 0
        with flooding.makefile("rb") as answers:
            try:
                flooding.sendall(b"".join(_PING + struct.pack(">Q", n) for n in range(5000)))
                while head := answers.read(9):
                    kind = head[3]
                    body = answers.read(int.from_bytes(head[:3]))
                    error = int.from_bytes(body[4:8]) if kind == _GOAWAY else 0
            except ConnectionError:
                pass
        return kind, error


def _cpu(supervised: Supervised) -> float:
    """The CPU time that it has used (seconds)."""
    assert supervised.process is not None
    fields = Path(f"/proc/{supervised.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
