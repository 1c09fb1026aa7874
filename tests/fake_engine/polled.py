"""An engine in memory that can do only what every engine has to: it has no events, for example."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from service.engine.capabilities import Capabilities
from service.engine.events import Event, Listing
from service.engine.polled_events import poll
from service.engine.workloads import Inspection, Workload
from tests.fake_engine.engine import FakeEngine


class PolledEngine(FakeEngine):
    """It hides what it need not tell. `interval` is the time between two listings (seconds)."""

    title = "polled engine"

    def __init__(self, selector: Mapping[str, str], *, interval: float = 0.5, **more: Any) -> None:
        super().__init__(selector, **more)
        self.capabilities = Capabilities()
        self.interval = interval

    async def stop(self, workload_id: str, *, grace: float) -> None:
        await super().stop(workload_id, grace=grace)

    async def inspect(self, workload_id: str, *, timeout: float = 10.0) -> Inspection:
        seen = await super().inspect(workload_id, timeout=timeout)
        return replace(seen, paused=False, oom_killed=False)

    async def find(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        return [replace(each, paused=False) for each in await super().find(labels)]

    async def watch(self) -> AsyncGenerator[Listing | Event, None]:
        self._connect()
        async with aclosing(poll(self.list, lambda _: self.interval)) as news:
            async for item in news:
                yield item
