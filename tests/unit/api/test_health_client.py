import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from grpc import aio
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from service.api.health import Health
from service.api.health_client import check_health


@pytest.fixture
async def served() -> AsyncIterator[tuple[Health, int]]:
    health, server = Health("a.Service"), aio.server()
    add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield health, port
    await server.stop(None)


async def ask(port: int, service: str, host: str = "127.0.0.1") -> tuple[bool, str]:
    return await asyncio.to_thread(check_health, host, port, service)


async def test_it_tells_whether_a_service_serves(served: tuple[Health, int]) -> None:
    health, port = served
    assert (True, "SERVING") == await ask(port, "liveness")
    assert (False, "NOT_SERVING") == await ask(port, "")
    health.set_ready(True)
    assert (True, "SERVING") == await ask(port, "a.Service")


async def test_a_service_that_is_not_there_does_not_serve(served: tuple[Health, int]) -> None:
    _, port = served
    assert (False, f"127.0.0.1:{port}: NOT_FOUND") == await ask(port, "other")


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
async def test_where_nobody_listens_nobody_serves(host: str, shown: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert (False, f"{shown}:{port}: UNAVAILABLE") == await ask(port, "liveness", host)
