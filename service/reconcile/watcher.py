"""Keeps the registry in step with the Engine.

Three loops, one inside the other: reconnect for ever; within a connection list, then follow the
events; within that, take each event for a hint and look for oneself. A connection that has gone
quiet is probed by pings beside it, since a hung Engine never ends it.
"""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any, NoReturn

from observability.logs import get_logger
from observability.metrics import Metrics
from service.engine.base import Change, Engine, Event, Listing, Workload
from service.errors import EngineError, EngineUnavailable, EngineUnmounted
from service.jobs.model import ExitSeen, Job
from service.jobs.workload import launch_id_in
from service.lifecycle.adoption import Adoption
from service.lifecycle.exit_hints import Hint, Signals
from service.lifecycle.reaper import Reaper
from service.reconcile.adopter import Adopter
from service.reconcile.comparison import Comparison
from service.reconcile.exclusivity import Rivals
from service.reconcile.janitor import Janitor
from service.reconcile.setup_warnings import Surroundings
from service.settings import Settings
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.state.snapshot import Snapshot, differs
from service.support.tasks import Background

log = get_logger(__name__)

# Seconds. A ping that fails and the next one stay below the 5 s in which readiness has to fall.
_PING_INTERVAL = 1.0
# What the Engine runs its containers with may hang by itself: it then answers, and starts nothing.
_DEEP_PING_INTERVAL = 2.0
# An event that got lost without a gap in the stream is made good within this time.
_COMPARE_INTERVAL = 30.0
# An event stream that ends after this time, with the Engine there, was cut off for being idle.
_IDLE = 5.0
# What an event may take to get here, after a listing has told the same.
_EVENT_DELAY = 2.0

_BEGINNINGS = (Change.CREATED, Change.STARTED)
_PAUSES = (Change.PAUSED, Change.UNPAUSED)


class Watcher:
    """Turns the Engine's news into observations, and tells readiness how things stand."""

    def __init__(
        self,
        *,
        engine: Engine,
        registry: Registry,
        reaper: Reaper,
        comparison: Comparison,
        adopter: Adopter,
        adoption: Adoption,
        janitor: Janitor,
        rivals: Rivals,
        surroundings: Surroundings,
        signals: Signals,
        readiness: Readiness,
        background: Background,
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._reaper = reaper
        self._comparison = comparison
        self._adopter = adopter
        self._adoption = adoption
        self._janitor = janitor
        self._rivals = rivals
        self._surroundings = surroundings
        self._signals = signals
        self._readiness = readiness
        self._background = background
        self._metrics = metrics
        self._events = 0  # that have been heard of
        self._ended_streams = 0
        # Whether what the first listing shows is taken over, or removed.
        self._adopt = settings.supervisor_on_start == "adopt"

    async def run(self) -> NoReturn:
        """Follow the Engine for ever, through all its absences. Raises `StartError`."""
        self._surroundings.tell_settings()
        while True:
            if away := await self._connection():
                self._fall(away)
                # Jittered, and short: an Engine that is away refuses for next to nothing.
                await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - no secret hangs on it

    async def _connection(self) -> EngineError | None:
        """Why a connection has ended; None if the Engine is there all the same.

        A proxy in between cuts off what is idle, for which no request has to wait.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            await self._follow()
            if clock() - began >= _IDLE:
                await self._engine.ping()
                return None
        except EngineError as error:
            return error
        return EngineUnavailable(f"the {self._engine.title} has ended its event stream")

    async def _follow(self) -> None:
        """One connection, until it ends or a probe fails. Raises the `EngineError`s."""
        hearing = asyncio.create_task(self._hear(), name="events")
        probes = [
            asyncio.create_task(self._probe(_PING_INTERVAL), name="ping"),
            asyncio.create_task(self._probe(_DEEP_PING_INTERVAL, deep=True), name="deep ping"),
            asyncio.create_task(self._compare_now_and_then(), name="compare"),
        ]
        try:
            done, _ = await asyncio.wait((hearing, *probes), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except EngineUnavailable as away:
            for task in probes:
                task.cancel()
            await self._hear_out(hearing, away)
            if hearing.done():
                hearing.result()  # what is no EngineError must be seen
            raise
        finally:
            for task in (hearing, *probes):
                task.cancel()
            await asyncio.gather(hearing, *probes, return_exceptions=True)

    async def _hear_out(self, hearing: "asyncio.Task[None]", away: EngineError) -> None:
        """Listen to an Engine that takes no new connection: it tells what it ends, and how.

        Until its event stream ends, or a ping is answered.
        """
        while not hearing.done():
            self._fall(away)
            with suppress(EngineError):
                await self._engine.ping()
                return  # it is there: the stream was dead, or something was lacking here
            await asyncio.wait({hearing}, timeout=_PING_INTERVAL)

    async def _hear(self) -> None:
        known = self._registry.snapshot()
        try:
            async with aclosing(self._engine.watch()) as news:
                async for item in news:
                    if isinstance(item, Listing):
                        await self._take_in(item.workloads, known)
                        known = Snapshot({})  # which would keep all jobs for as long as this runs
                    else:
                        self._heed(item)
        finally:
            self._ended_streams += 1

    async def _probe(self, interval: float, *, deep: bool = False) -> None:
        while True:
            await asyncio.sleep(interval)
            await self._engine.ping(deep=deep)
            self._metrics.engine_up.set(1)

    async def _compare_now_and_then(self) -> None:
        """What the events have told, a comparison knows already. If not, the stream is dead.

        That happens over TCP: a connection that something in between has forgotten never ends.
        A stream that tells of other things meanwhile is only late, on a busy machine.
        """
        while True:
            await asyncio.sleep(_COMPARE_INTERVAL - _EVENT_DELAY)
            known, heard = self._registry.snapshot(), self._events
            workloads = await self._engine.list(unless=known.confirms)
            await asyncio.sleep(_EVENT_DELAY)
            may_be_dead = self._engine.capabilities.streams_events and heard == self._events
            if may_be_dead and self._has_missed_an_event(known, workloads):
                title = self._engine.title
                raise EngineUnavailable(f"the {title}'s event stream has gone quiet")
            await self._comparison.compare(workloads, known)

    def _has_missed_an_event(self, known: Snapshot, workloads: Sequence[Workload]) -> bool:
        """Whether a job that has stayed as it was is not so in a listing."""
        listed = {workload.id: workload for workload in workloads}
        return any(
            job.steady and self._registry.get(job.launch_id) is job and differs(job, listed)
            for job in known.unconfirmed
        )

    def _fall(self, away: EngineError) -> None:
        self._metrics.engine_up.set(0)
        if away.message != self._readiness.reason:
            log.warning("engine.away", reason=away.message)
        self._readiness.fall(away.message, for_good=isinstance(away, EngineUnmounted))

    async def _take_in(self, workloads: Sequence[Workload], known: Snapshot) -> None:
        """A new connection's listing: clean up after the last run, or catch up with a gap."""
        self._metrics.engine_up.set(1)
        if after_a_gap := self._readiness.listed:
            self._metrics.stream_reconnects.inc()
        else:
            known, workloads = await self._begin(workloads)
        # Where the Engine was there all the time, it has not taken along what has ended.
        await self._comparison.compare(
            workloads, known, closely=after_a_gap, witnessed=self._readiness.in_step
        )
        if not self._readiness.in_step:
            self._readiness.rise()
            log.info("engine.in_step", jobs=len(self._registry))
            self._background.spawn(self._surroundings.look(), "surroundings")

    async def _begin(self, workloads: Sequence[Workload]) -> tuple[Snapshot, Sequence[Workload]]:
        """Deal with what an earlier run has left; the jobs and the workloads afterwards."""
        await self._rivals.check()
        if self._adopt:
            await self._adopter.inherit(workloads)
        else:
            await self._janitor.clean(workloads)
        known = self._registry.snapshot()
        return known, await self._engine.list()

    def _heed(self, event: Event) -> None:
        """Act on a hint, beside whatever else goes on: the stream must never wait."""
        self._events += 1
        job = self._registry.get(launch_id_in(event.labels))
        if job is None:
            self._heed_unknown(event)
        elif event.change in _BEGINNINGS:
            if job.exit_seen and job.workload_id == event.id:
                self._spawn(self._look_again(job, event), event)
        elif event.change is Change.SIGNALLED:
            if not job.being_killed:
                self._signals.note(event.id, event.signal or 0)
        elif not self._is_own_removal(job, event):
            self._heed_change(job, event)

    def _heed_unknown(self, event: Event) -> None:
        if event.change in _BEGINNINGS:
            self._spawn(self._adopter.meet(event.id, event.labels), event)
        else:
            self._adoption.hear(event.id, witnessed=event.witnessed)

    def _is_own_removal(self, job: Job, event: Event) -> bool:
        """Such an event is no news: the removal itself returns, and closes the job."""
        own = job.workload_id == event.id and self._reaper.is_removing(job.launch_id)
        return own and event.change is Change.REMOVED

    def _heed_change(self, job: Job, event: Event) -> None:
        signal = self._note_exit(job, event) if event.change is Change.EXITED else None
        if not job.kill_intended:  # a kill closes its job itself, within its own trace
            look = self._look_into(job, event, signal, self._ended_streams)
            self._spawn(look, event)
        elif event.change in _PAUSES and job.workload_id == event.id:
            # Nobody looks while the kill goes on, and it may fail.
            self._reaper.hear_pause(job.launch_id, paused=event.change is Change.PAUSED)

    def _note_exit(self, job: Job, event: Event) -> int | None:
        """Keep that a container has exited; the signal that others had sent it, if any."""
        signal = self._signals.before_exit(event.id)
        if job.workload_id is None:  # the answer to its start is still on its way
            self._spawn(self._note_early_exit(job, event, signal), event)
        elif job.workload_id == event.id:
            self._registry.observe(job.launch_id, ExitSeen(signal))
        return signal

    async def _note_early_exit(self, job: Job, event: Event, signal: int | None) -> None:
        """As soon as the launch is over: no other one may take the job for running."""
        started = await self._registry.wait(job.launch_id, lambda j: j.workload_id is not None)
        if started is not None and started.workload_id == event.id:
            self._registry.observe(job.launch_id, ExitSeen(signal))

    async def _look_into(
        self, job: Job, event: Event, signal: int | None, ended_streams: int
    ) -> None:
        """At what an event says of a job; an Engine that goes away takes its containers along.

        One that may be back before it is asked has ended its event stream since the event
        (`ended_streams` had ended by then).
        """
        at_its_end = job.ends and event.exit_code == 0 and signal is None  # whoever else ends
        leaving = not at_its_end and await self._engine.leaving()
        is_back = signal is not None and ended_streams != self._ended_streams
        hint = Hint(
            event.exit_code,
            witnessed=event.witnessed and not (leaving or is_back),
            oom_killed=event.change is Change.OUT_OF_MEMORY,
            signal=signal,
        )
        await self._reaper.reap(job.launch_id, hint, workload_id=event.id)

    async def _look_again(self, job: Job, event: Event) -> None:
        """At a container that runs again; its job may be closed before anybody looks."""
        witnessed = event.witnessed and not await self._engine.leaving()
        await self._reaper.reap(job.launch_id, Hint(witnessed=witnessed))
        if self._registry.get(job.launch_id) is None:
            await self._adopter.meet(event.id, event.labels)

    def _spawn(self, work: Coroutine[Any, Any, None], event: Event) -> None:
        self._background.spawn(work, f"{event.change} {event.id[:12]}")
