"""Pulls of images: one at a time for each image, shared by all launches that wait for it."""

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import Literal

from observability.logs import get_logger
from observability.metrics import Metrics, trace_exemplar
from observability.spans import wait_span
from service.engine.base import Engine
from service.engine.capabilities import Pull, PullProgress
from service.errors import EngineError, EngineTimeout
from service.settings import Settings
from service.support.retry import retry
from service.support.tasks import SingleFlight

log = get_logger(__name__)

PullOutcome = Literal["pulled", "failed", "cancelled"]

# Between two events about the progress of a pull (seconds).
PROGRESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Image:
    """What is pulled. The same image for two platforms is pulled twice."""

    name: str
    platform: str

    @property
    def key(self) -> str:
        return f"{self.name} {self.platform}"

    @property
    def fields(self) -> dict[str, str]:
        return {"image": self.name, **({"platform": self.platform} if self.platform else {})}


class ImagePulls:
    """Pulls images, `MAX_PULLS` at a time.

    A pull that no launch waits for any more is cancelled.
    """

    def __init__(self, engine: Engine, metrics: Metrics, settings: Settings) -> None:
        self._engine = engine
        self._metrics = metrics
        self._seconds = settings.pull_timeout_seconds
        self._places = asyncio.Semaphore(settings.max_pulls)
        self._pulls: SingleFlight[None] = SingleFlight()
        self._waiting: dict[str, dict[str, None]] = {}  # launch ids by image; the first one first
        metrics.pulls_in_progress.labels("limit").set(settings.max_pulls)

    @property
    def are_possible(self) -> bool:
        """Whether the engine pulls for a launch. A Swarm's nodes do so by themselves."""
        return self._engine.capabilities.pull is not None

    def displace(self, wanted: Image) -> str | None:
        """Take the launch out that has to make place for one of this image; its launch id.

        It is the last one of the image that most wait for. None if as many wait for this one, or
        will with one more.
        """
        most = max(self._waiting, key=self._count, default=wanted.key)
        if self._count(most) <= self._count(wanted.key) + 1:
            return None
        last, _ = self._waiting[most].popitem()
        return last

    def _count(self, key: str) -> int:
        return len(self._waiting.get(key, ()))

    async def pull(self, launch_id: str, wanted: Image) -> None:
        """Pull an image for a launch, or wait for the pull of it that is under way.

        Raises the `EngineError`s. Nothing is done on an engine that does not pull.
        """
        capability = self._engine.capabilities.pull
        if capability is None:
            return
        key = wanted.key
        task = self._pulls.get(key) or self._pulls.begin(
            key, self._in_turn(wanted, capability), f"pull {key}"
        )
        waiting = self._waiting.setdefault(key, {})
        waiting[launch_id] = None
        try:
            with wait_span("image"):
                await asyncio.shield(task)
        finally:
            waiting.pop(launch_id, None)  # it may have been displaced
            if not waiting and self._waiting.get(key) is waiting:
                del self._waiting[key]
                self._pulls.cancel(key)

    async def _in_turn(self, wanted: Image, pull: Pull) -> None:
        gauge = self._metrics.pulls_in_progress
        await self._wait_for_place()
        try:
            with gauge.labels("under_way").track_inprogress():
                await self._pull(wanted, pull)
        finally:
            self._places.release()

    async def _wait_for_place(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        waiting = self._metrics.pulls_in_progress.labels("waiting")
        with waiting.track_inprogress(), self._metrics.pull_wait_duration.time():
            await self._places.acquire()

    async def _pull(self, wanted: Image, pull: Pull) -> None:
        """Pull, and report how it went."""
        began = time.perf_counter()
        outcome: PullOutcome = "failed"
        log.info("pull.started", **wanted.fields)
        try:
            await self._within_limit(wanted, pull)
            outcome = "pulled"
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except EngineError as error:
            log.warning("pull.failed", **wanted.fields, code=error.code, error=error.message)
            raise
        finally:
            seconds = time.perf_counter() - began
            self._metrics.pull_duration.labels(outcome).observe(seconds, trace_exemplar())
            if outcome != "failed":
                log.info("pull.ended", **wanted.fields, outcome=outcome, seconds=round(seconds, 3))

    async def _within_limit(self, wanted: Image, pull: Pull) -> None:
        note = Progress(wanted)
        try:
            async with asyncio.timeout(self._seconds):
                await retry(partial(pull, wanted.name, wanted.platform, note))
        except TimeoutError:
            limit = f"PULL_TIMEOUT_SECONDS={self._seconds:g}"
            raise EngineTimeout(f"image {wanted.name}: was not pulled within {limit}") from None


class Progress:
    """Logs how far a pull is, now and then."""

    def __init__(self, wanted: Image) -> None:
        self._wanted = wanted
        self._told = time.monotonic()

    def __call__(self, seen: PullProgress) -> None:
        """Called in a thread, for each piece of news."""
        if (now := time.monotonic()) - self._told >= PROGRESS_SECONDS:
            self._told = now
            log.info(
                "pull.progressed",
                **self._wanted.fields,
                layers=seen.layers,
                layers_done=seen.layers_done,
                size=seen.size,
                size_done=seen.size_done,
            )
