"""An engine in memory that several supervisors share, as they share a Swarm."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from observability.redaction.redactor import Redactor
from service.engine.capabilities import Capabilities
from service.engine.events import Event, Listing
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Begun, Inspection, Status, Workload
from service.errors import NameTaken
from tests.fake_engine.engine import at_once
from tests.fake_engine.polled import PolledEngine

_LOOK = 0.05


class SharedEngine(PolledEngine):
    """It tells which workloads are being stopped, and how they have exited."""

    title = "shared engine"

    def __init__(self, selector: Mapping[str, str], **more: Any) -> None:
        super().__init__(selector, **more)
        self.capabilities = Capabilities(find_others=self.find_others, successor_keeps_id=True)

    async def start(self, spec: WorkloadSpec, *, timeout: float) -> Begun:
        """A holder of the name that is being launched or stopped is waited for."""
        while True:
            try:
                return await super().start(spec, timeout=timeout)
            except NameTaken as taken:
                if not self._may_change(taken.holder):
                    raise
            await asyncio.sleep(_LOOK)

    async def start_successor(
        self,
        workload_id: str,
        labels: Mapping[str, str],
        *,
        redact: Callable[[Inspection], Redactor],  # noqa: ARG002 - see base
        timeout: float,
    ) -> Begun:
        """With the same id, as a service has other tasks one after another."""
        await self._call("start", at_once(lambda: self._start_again(workload_id, labels)), timeout)
        return Begun(workload_id, self.host.get(workload_id).node)

    def _start_again(self, workload_id: str, labels: Mapping[str, str]) -> None:
        container = self.host.get(workload_id)
        if not labels.items() <= container.spec.labels.items():  # or else another has done it
            self.host.stopped.discard(workload_id)
            self.host.start_again(workload_id, labels)

    def _start_made(self, container_id: str) -> None:
        """Another supervisor may have killed it by now, as it may kill what runs."""
        if any(each.id == container_id for each in self.host.containers):
            super()._start_made(container_id)

    def _may_change(self, workload_id: str | None) -> bool:
        for each in self.host.containers:
            if each.id == workload_id:
                stopping = each.id in self.host.stopped and each.status is Status.LIVE
                return stopping or each.status is Status.CREATED
        return False

    async def stop(self, workload_id: str, *, grace: float) -> None:
        self.host.stopped.add(workload_id)
        await super().stop(workload_id, grace=grace)

    async def inspect(self, workload_id: str, *, timeout: float = 10.0) -> Inspection:
        seen = await super().inspect(workload_id, timeout=timeout)
        return replace(seen, stopping=workload_id in self.host.stopped, witnessed=True)

    async def find(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        found = await super().find(labels)
        return [replace(each, stopping=each.id in self.host.stopped) for each in found]

    async def find_others(self, labels: Mapping[str, str]) -> Sequence[str]:
        """See `FindOthers`."""
        found = await self.find(labels)
        live = [each for each in found if each.status is Status.LIVE]
        return [each.name for each in live if each.id != self.own_id]

    async def watch(self) -> AsyncGenerator[Listing | Event, None]:
        async with aclosing(super().watch()) as news:
            async for item in news:
                if isinstance(item, Event) and item.id in self.host.torn:
                    yield replace(item, ran=True)
                else:
                    yield item
