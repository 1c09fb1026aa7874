"""Follows the engine: connects, lists, pings, and says whether the registry is in step with it.

Three nested loops: reconnect for ever; on each connection take the listing, then the events. A
hung engine never ends its event stream, so pings beside it find that out.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import NoReturn

from observability.logs import get_logger
from observability.metrics import Metrics
from service.engine.base import Engine
from service.engine.events import Listing
from service.engine.workloads import Workload
from service.errors import EngineError, EngineUnavailable, EngineUnmounted
from service.reconcile.adopter import Adopter
from service.reconcile.comparison import Comparison
from service.reconcile.events import EventHandler
from service.reconcile.janitor import Janitor
from service.reconcile.setup_warnings import SetupWarnings
from service.reconcile.single_instance import SingleInstance
from service.settings import Settings
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.state.registry_snapshot import Snapshot, differs
from service.support.tasks import Background

log = get_logger(__name__)

# Seconds. A failed ping and the next one together stay below the 5 s of readiness' goal.
_PING_INTERVAL = 1.0
# The runtime below the engine may hang by itself: then pings are answered, and nothing starts.
_DEEP_PING_INTERVAL = 2.0
# How soon a lost event is made up for, if the stream has no gap.
_COMPARE_INTERVAL = 30.0
# An event stream that ends after this time, with the engine there, was cut off for being idle.
_IDLE = 5.0
# How long an event may take to arrive that a listing has preceded.
_EVENT_DELAY = 2.0


@dataclass(kw_only=True, eq=False)
class Watcher:
    """Follows the engine's listings and events, and updates readiness."""

    engine: Engine
    registry: Registry
    comparison: Comparison
    events: EventHandler
    adopter: Adopter
    janitor: Janitor
    single_instance: SingleInstance
    setup_warnings: SetupWarnings
    readiness: Readiness
    background: Background
    metrics: Metrics
    settings: Settings

    async def run(self) -> NoReturn:
        """Follow the engine for ever, and reconnect when it was away. Raises `StartError`."""
        self.setup_warnings.check_settings()
        while True:
            if away := await self._connection():
                self._note_away(away)
                # Short, since an engine that is away refuses at little cost; with jitter.
                await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - jitter, no secret

    def note_new_catalog(self) -> None:
        """Log what else is wrong for jobs, now that the catalogue is another one."""
        self.setup_warnings.check_settings()
        if self.readiness.in_step:  # or else once it is
            self.background.spawn(self.setup_warnings.check_engine(), "surroundings")

    async def _connection(self) -> EngineError | None:
        """Why a connection has ended; None if it was only idle, and the engine is there.

        A proxy may cut off an idle connection. No request has to wait because of that.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            await self._follow()
            if clock() - began >= _IDLE:
                await self.engine.ping()
                return None
        except EngineError as error:
            return error
        return EngineUnavailable(f"the {self.engine.title} has ended its event stream")

    async def _follow(self) -> None:
        """One connection, until it ends or a probe fails. Raises the `EngineError`s."""
        reading = asyncio.create_task(self._read_news(), name="events")
        probes = [
            asyncio.create_task(self._probe(_PING_INTERVAL), name="ping"),
            asyncio.create_task(self._probe(_DEEP_PING_INTERVAL, deep=True), name="deep ping"),
            asyncio.create_task(self._compare_periodically(), name="compare"),
        ]
        try:
            done, _ = await asyncio.wait((reading, *probes), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except EngineUnavailable as away:
            for task in probes:
                task.cancel()
            await self._read_last_news(reading, away)
            if reading.done():
                reading.result()  # raises what is no EngineError
            raise
        finally:
            for task in (reading, *probes):
                task.cancel()
            await asyncio.gather(reading, *probes, return_exceptions=True)

    async def _read_last_news(self, reading: "asyncio.Task[None]", away: EngineError) -> None:
        """Go on reading while the engine takes no new connection: it may be ending its workloads.

        Until its event stream ends, or a ping is answered.
        """
        while not reading.done():
            self._note_away(away)
            with suppress(EngineError):
                await self.engine.ping()
                return  # it is there: the stream was dead, or this host lacked something
            await asyncio.wait({reading}, timeout=_PING_INTERVAL)

    async def _read_news(self) -> None:
        known = self.registry.snapshot()
        try:
            async with aclosing(self.engine.watch()) as news:
                async for item in news:
                    if isinstance(item, Listing):
                        await self._handle_listing(item.workloads, known)
                        known = Snapshot([{}])  # frees the jobs, which this frame would keep
                    else:
                        self.events.handle(item)
        finally:
            self.events.note_end_of_stream()

    async def _probe(self, interval: float, *, deep: bool = False) -> None:
        while True:
            await asyncio.sleep(interval)
            await self.engine.ping(deep=deep)
            self.metrics.engine_up.set(1)

    async def _compare_periodically(self) -> None:
        """Compare at intervals. Raises EngineUnavailable if the event stream seems dead.

        It is dead if a comparison finds a change that no event has reported, and no other event
        has arrived meanwhile. A TCP connection never ends if a device in between forgets it.
        """
        while True:
            await asyncio.sleep(_COMPARE_INTERVAL - _EVENT_DELAY)
            known, handled = self.registry.snapshot(), self.events.handled
            workloads = await self.engine.list(unless=known.confirms)
            await asyncio.sleep(_EVENT_DELAY)
            quiet = self.engine.capabilities.streams_events and handled == self.events.handled
            if quiet and self._has_missed_an_event(known, workloads):
                title = self.engine.title
                raise EngineUnavailable(f"the {title}'s event stream has gone quiet")
            await self.comparison.compare(workloads, known)

    def _has_missed_an_event(self, known: Snapshot, workloads: Sequence[Workload]) -> bool:
        """Whether a listing shows a change in a job that the registry does not have yet."""
        listed = {workload.id: workload for workload in workloads}
        return any(
            job.steady and self.registry.get(job.launch_id) is job and differs(job, listed)
            for job in known.unconfirmed
        )

    def _note_away(self, away: EngineError) -> None:
        self.metrics.engine_up.set(0)
        if away.message != self.readiness.reason:
            log.warning("engine.away", reason=away.message)
        self.readiness.set_away(away.message, for_good=isinstance(away, EngineUnmounted))

    async def _handle_listing(self, workloads: Sequence[Workload], known: Snapshot) -> None:
        """Compare with the listing of a new connection; at the start, clean up first."""
        self.metrics.engine_up.set(1)
        if after_a_gap := self.readiness.listed:
            self.metrics.stream_reconnects.inc()
        else:
            known, workloads = await self._start(workloads)
        # If the engine was there all the time, it has not ended any workload by its own stop.
        await self.comparison.compare(
            workloads, known, closely=after_a_gap, witnessed=self.readiness.in_step
        )
        if not self.readiness.in_step:
            self.readiness.set_in_step()
            log.info("engine.in_step", jobs=len(self.registry))
            self.background.spawn(self.setup_warnings.check_engine(), "surroundings")

    async def _start(self, workloads: Sequence[Workload]) -> tuple[Snapshot, Sequence[Workload]]:
        """Adopt or remove the workloads of an earlier run; the jobs and workloads after that."""
        await self.single_instance.check()
        if self.settings.supervisor_on_start == "adopt":
            await self.adopter.adopt_from_earlier_run(workloads)
        else:
            await self.janitor.remove_all(workloads)
        known = self.registry.snapshot()
        return known, await self.engine.list()
