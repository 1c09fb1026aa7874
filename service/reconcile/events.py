"""Turns the engine's events into observations and hints, without making the stream wait."""

import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from service.engine.base import Engine
from service.engine.events import Change, Event
from service.jobs.labels import launch_id_in
from service.jobs.model import Job
from service.jobs.observations import ExitSeen
from service.lifecycle.adoption import Adoption
from service.lifecycle.exit_hints import Hint, Signals
from service.lifecycle.other_supervisors import OtherSupervisors
from service.lifecycle.reaper import Reaper
from service.reconcile.adopter import Adopter
from service.state.registry import Registry
from service.support.tasks import Background

_BEGINNINGS = (Change.CREATED, Change.STARTED)
_PAUSES = (Change.PAUSED, Change.UNPAUSED)


@dataclass(kw_only=True, eq=False)
class EventHandler:
    """Handles events one by one. An event is a hint: an inspection follows in the background."""

    engine: Engine
    registry: Registry
    reaper: Reaper
    adopter: Adopter
    adoption: Adoption
    signals: Signals
    others: OtherSupervisors
    background: Background
    handled: int = field(default=0, init=False)
    _ended_streams: int = field(default=0, init=False)

    def note_end_of_stream(self) -> None:
        """The event stream has ended, maybe since the engine is going away."""
        self._ended_streams += 1

    def handle(self, event: Event) -> None:
        """Handle one event."""
        self.handled += 1
        job = self.registry.get(launch_id_in(event.labels))
        if job is None:
            self._handle_unknown(event)
        elif event.change in _BEGINNINGS:
            if job.exit_seen and job.workload_id == event.id:
                self._spawn(self._inspect_restarted(job, event), event)
            elif event.change is Change.STARTED and job.workload_id not in (None, event.id):
                self._spawn(self.adopter.examine_started(event.id, event.labels), event)
        elif event.change is Change.STOPPING:
            self.others.note_stopping(job.launch_id, time.time())
        elif event.change is Change.SIGNALLED:
            if not job.ended_here:
                self.signals.note(event.id, event.signal or 0)
        elif not self._is_own_removal(job, event):
            self._handle_change(job, event)

    def _handle_unknown(self, event: Event) -> None:
        if event.change in _BEGINNINGS:
            self.adoption.note_start(event.id)
            self._spawn(self.adopter.examine_started(event.id, event.labels), event)
        else:
            out_of_memory = event.change is Change.OUT_OF_MEMORY
            hint = Hint(witnessed=event.witnessed, oom_killed=out_of_memory)
            self.adoption.note_event(event.id, hint)

    def _is_own_removal(self, job: Job, event: Event) -> bool:
        """Such an event is no news: the call for the removal returns, and the job is closed."""
        own = job.workload_id == event.id and self.reaper.is_removing(job.launch_id)
        return own and event.change is Change.REMOVED

    def _handle_change(self, job: Job, event: Event) -> None:
        signal = self._note_exit(job, event) if event.change is Change.EXITED else None
        if not job.killed_here:  # a kill has its job closed itself, within its own trace
            work = self._inspect_after(event, job, signal, self._ended_streams)
            self._spawn(work, event)
        elif event.change in _PAUSES and job.workload_id == event.id:
            # The kill inspects nothing, and may fail.
            self.reaper.note_pause(job.launch_id, paused=event.change is Change.PAUSED)

    def _note_exit(self, job: Job, event: Event) -> int | None:
        """Note that a workload has exited; the signal that a third party had sent, if any."""
        signal = self.signals.take(event.id)
        if job.workload_id is None:  # the start has not been answered yet
            self._spawn(self._note_early_exit(job, event, signal), event)
        elif job.workload_id == event.id:
            self.registry.observe(job.launch_id, ExitSeen(signal))
        return signal

    async def _note_early_exit(self, job: Job, event: Event, signal: int | None) -> None:
        """Note the exit as soon as the launch is over: no other one may take the job as running."""
        started = await self.registry.wait(job.launch_id, lambda j: j.workload_id is not None)
        if started is not None and started.workload_id == event.id:
            self.registry.observe(job.launch_id, ExitSeen(signal))

    async def _inspect_after(
        self, event: Event, job: Job, signal: int | None, ended_streams: int
    ) -> None:
        """Have a job's workload inspected after an event.

        If the engine is going away, it may have ended the workload. It may also be back by now:
        then the event stream has ended since the event (`ended_streams` is the number before).
        """
        by_itself = job.ends and event.exit_code == 0 and signal is None
        leaving = not by_itself and await self.engine.leaving()
        is_back = signal is not None and ended_streams != self._ended_streams
        hint = Hint(
            event.exit_code,
            witnessed=event.witnessed and not (leaving or is_back),
            oom_killed=event.change is Change.OUT_OF_MEMORY,
            signal=signal,
            ran=event.ran,
        )
        if event.change is Change.EXITED:
            await self.others.wait_for(job.launch_id)
        await self.reaper.reap(job.launch_id, hint, workload_id=event.id)

    async def _inspect_restarted(self, job: Job, event: Event) -> None:
        """Have a workload inspected that runs again. Its job may be closed before that."""
        witnessed = event.witnessed and not await self.engine.leaving()
        await self.reaper.reap(job.launch_id, Hint(witnessed=witnessed))
        if self.registry.get(job.launch_id) is None:
            await self.adopter.examine_started(event.id, event.labels)

    def _spawn(self, work: Coroutine[Any, Any, None], event: Event) -> None:
        self.background.spawn(work, f"{event.change} {event.id[:12]}")
