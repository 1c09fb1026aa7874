"""What the metrics say of gRPC calls."""

import asyncio
from collections.abc import Callable

from observability.metrics import Metrics


def started(metrics: Metrics, method: str) -> float | None:
    """How many calls of a method have begun."""
    return metrics.registry.get_sample_value(
        "grpc_server_call_started_total", {"grpc_method": method}
    )


def ended(metrics: Metrics) -> dict[tuple[str, str], float]:
    """How many calls have ended, by method and status."""
    return {
        (sample.labels["grpc_method"], sample.labels["grpc_status"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "grpc_server_call_duration_seconds_count"
    }


async def eventually(check: Callable[[], object]) -> None:
    """Wait until something is true that nothing tells of, such as a metric."""
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.01)
