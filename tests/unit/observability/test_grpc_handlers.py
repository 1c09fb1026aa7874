"""Handlers of all kinds as coroutines."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from observability.grpc_handlers import as_coroutine


class _GoneClient:
    async def write(self, _: object) -> None:
        raise ConnectionError


async def test_a_generator_is_closed_in_the_task_of_its_call() -> None:
    closed_in = []

    async def generate(_request: Any, _context: Any) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed_in.append(asyncio.current_task())

    serve = as_coroutine(grpc.unary_stream_rpc_method_handler(generate))
    with pytest.raises(ConnectionError):
        await serve(None, _GoneClient())
    assert closed_in == [asyncio.current_task()]
