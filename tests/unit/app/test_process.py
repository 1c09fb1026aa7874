"""The order of a start."""

import socket
from collections.abc import Mapping
from ipaddress import IPv4Address

import pytest
from opentelemetry.sdk.trace import TracerProvider

from observability.log_writer import LogWriter
from observability.metrics import Metrics
from scripts.ports import free_port
from service.app import engines, process
from service.app.engines import EngineKind, OpenedEngine
from service.errors import StartError
from service.settings import Settings


async def test_both_ports_are_open_before_the_engine_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Loading it takes most of a start, and nobody is refused meanwhile."""
    ports = [free_port(), free_port()]
    connected = []

    def connect(_: Mapping[str, str], __: Metrics, ___: Settings) -> OpenedEngine:
        for port in ports:
            with socket.create_connection(("127.0.0.1", port), timeout=10):
                connected.append(port)
        raise StartError("this is as far as the test goes")

    monkeypatch.setitem(engines.ENGINES, "docker", EngineKind("docker", "Docker", connect))
    settings = Settings(
        bind_address=IPv4Address("127.0.0.1"), grpc_server_port=ports[0], metrics_port=ports[1]
    )
    writer = LogWriter(1)
    started = process._Process(settings, TracerProvider(), writer)
    try:
        with pytest.raises(StartError, match="as far as"):
            await started.run()
    finally:
        writer.close(within=1)
    assert ports == connected
