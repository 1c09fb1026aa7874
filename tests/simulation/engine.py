"""The fake Engine, with lost and late events, and with answers that cannot be parsed."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from service.engine.capabilities import PullProgress
from service.engine.events import Change, Event, Listing
from service.engine.workloads import Inspection, Status, Workload
from service.errors import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
)
from service.jobs.labels import INSTANCE_LABEL
from service.support.loop_time import loop_time
from tests.fake_engine.engine import FakeEngine
from tests.simulation.steps import Failure, NewsTrouble, Unrunnable

INSTANCE = "default"
IMAGE, NETWORK = "worker", "host"
FAR = ("far", "farther", "fresh")
"""The images that the registry has."""

MAX_PULLS = 1
# Of the containers that are nobody's job.
OTHERS_IMAGE, OTHERS_NETWORK = "another", "others"
# Inspections, removals and the like that a supervisor may have under way: 20 in the process, with
# which fewer jobs than are here would never have to wait.
BULK_THREADS = 8

_LONGEST_LATENCY = 0.01
_LONGEST_PULL = 1.0
_SHARE_OF_ODD_ANSWERS = 0.15
_UNSETTLED = 0.02
# A removal that fails is tried again within this time, without another look (seconds).
_TRIED_AGAIN = 3.0
# How late events are (seconds).
_LATE, _SHUFFLED, _REPEATED = 0.2, 0.3, 1.0


class Removal(NamedTuple):
    """When a removal was asked for, and when it was tried again last."""

    first: float
    last: float


class SimulatedEngine(FakeEngine):
    """Draws from `chance` what the steps do not determine.

    `on_trouble` is called with the seconds of a trouble when something meets it, `on_loss` when an
    event gets lost.
    """

    def __init__(self, chance: random.Random) -> None:
        super().__init__(
            {INSTANCE_LABEL: INSTANCE},
            images=[IMAGE, OTHERS_IMAGE],
            networks=[NETWORK, OTHERS_NETWORK],
        )
        self.latency = lambda: chance.uniform(0, _LONGEST_LATENCY)
        self.removals_asked: dict[str, Removal] = {}  # the last one of each container
        self.out_of_memory_told: dict[str, float] = {}  # since when a listener knows of it
        self.on_trouble: Callable[[float], None] = lambda _: None
        self.pulling: Counter[str] = Counter()  # images, by the pulls that somebody waits for
        self.wrong: list[str] = []  # what must not be asked for
        self.on_loss: Callable[[], None] = lambda: None
        self._chance = chance
        self._news: NewsTrouble | None = None
        self._news_until = self._odd_until = 0.0
        self.publish()

    def trouble_news(self, what: NewsTrouble, seconds: float) -> None:
        """Disturb the events for so many seconds."""
        if what == "cut":
            self.on_trouble(0.0)
            self.disconnect()
        else:
            self._news, self._news_until = what, loop_time() + seconds

    def answer_oddly(self, seconds: float) -> None:
        """Give some answers that cannot be parsed, for so many seconds."""
        self._odd_until = loop_time() + seconds

    def run_nothing(self, what: Unrunnable) -> None:
        """Make all starts fail: the program cannot run, or the network is missing."""
        if what.what == "program":
            self.host.broken[IMAGE] = "exec /worker failed: No such file or directory"
        else:
            self.host.networks.discard(NETWORK)

    def run_again(self) -> None:
        """Repair both."""
        self.host.broken.clear()
        self.host.networks.add(NETWORK)

    def publish(self) -> None:
        """Have the registry offer its images, as it does from the first."""
        self.host.registry.update(FAR)

    def repair(self) -> None:
        """Remove all faults that have not struck yet."""
        self.faults.clear()
        self.stuck.clear()
        self.run_again()
        self.publish()
        self._news_until = self._odd_until = 0.0

    async def pull(self, image: str, platform: str, note: Callable[[PullProgress], None]) -> None:
        self.pulling[image] += 1
        if self.pulling[image] > 1 or self.pulling.total() > MAX_PULLS:
            self.wrong.append(f"too many pulls: {dict(self.pulling)}")
        try:
            await asyncio.sleep(self._chance.uniform(0, _LONGEST_PULL))
            await super().pull(image, platform, note)
        finally:
            self.pulling[image] -= 1

    async def remove(self, workload_id: str, *, force: bool = False) -> bool:
        before = self.removals_asked.get(workload_id)
        again = before is not None and loop_time() - before.last < _TRIED_AGAIN
        first = before.first if before is not None and again else loop_time()
        self.removals_asked[workload_id] = Removal(first, loop_time())
        return await super().remove(workload_id, force=force)

    async def find(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        found = await super().find(labels)
        return [replace(w, status=Status.UNKNOWN) if self._is_odd() else w for w in found]

    async def inspect(self, workload_id: str, *, timeout: float = 10.0) -> Inspection:
        seen = await super().inspect(workload_id, timeout=timeout)
        if self._is_odd():
            raise EngineFailed("the fake Engine's answer cannot be read")
        return seen

    async def watch(self) -> AsyncGenerator[Listing | Event, None]:
        async with aclosing(super().watch()) as news:
            async for item in news:
                if isinstance(item, Event):
                    self._note_told(item)
                yield item

    def _note_told(self, event: Event) -> None:
        if event.change is Change.OUT_OF_MEMORY:
            self.out_of_memory_told.setdefault(event.id, loop_time())
        elif event.change is Change.STARTED:
            self.out_of_memory_told.pop(event.id, None)

    def _is_odd(self) -> bool:
        odd = loop_time() < self._odd_until and self._chance.random() < _SHARE_OF_ODD_ANSWERS
        if odd:
            self.on_trouble(0.0)
        return odd

    def _publish(self, event: Event) -> None:
        if event.labels.get(INSTANCE_LABEL) != INSTANCE:
            return  # nobody listens to those
        if event.change is Change.EXITED:
            self._list_as_live_for_a_moment(event.id)
        for delay in self._delays():
            if delay:
                self.on_trouble(delay)
                asyncio.get_running_loop().call_later(delay, super()._publish, event)
            else:
                super()._publish(event)

    def _list_as_live_for_a_moment(self, container_id: str) -> None:
        """Docker tells of an exit before its listings know of it."""
        container = self.host.get(container_id)
        container.unsettled = True
        settle = partial(setattr, container, "unsettled", False)  # noqa: FBT003
        asyncio.get_running_loop().call_later(_UNSETTLED, settle)

    def _delays(self) -> Iterator[float]:
        """A delay for each time that an event is sent."""
        trouble = self._news if loop_time() < self._news_until else None
        if trouble == "late":
            yield _LATE
        elif trouble == "shuffled":
            yield self._chance.uniform(0, _SHUFFLED)
        elif trouble == "lost" and self._chance.random() < 0.5:
            self.on_loss()
        else:
            yield 0.0
        if trouble == "twice":
            yield self._chance.uniform(0, _REPEATED)


def error_of(failure: Failure) -> EngineError:
    """The error of a failed call."""
    kinds = {
        "refused": EngineRefused("the fake Engine refuses"),
        "faltered": EngineFailed("the fake Engine fails at it"),
        "timeout": EngineTimeout("the fake Engine took too long"),
        "unavailable": EngineUnavailable("the connection to the fake Engine is broken"),
    }
    return kinds[failure]
