"""One life of the supervisor: the core as the process wires it, until it stops or crashes."""

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextvars import copy_context
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, cast

from google.protobuf.empty_pb2 import Empty

from service._generated.area_supervisor_pb2 import JobId
from service._generated.area_types_pb2 import AuthenticatedJobData
from service.api.jobs_service import JobsService
from service.app.metric_labels import new_metrics
from service.app.wiring import Core
from service.engine.base import Engine
from service.errors import StartError
from service.jobs.model import Job
from service.observe.cordoning import Cordoning
from service.settings import Settings
from tests.fake_engine.host import Container
from tests.simulation.catalog import CATALOG, TIGHT_CATALOG, TIGHT_MOST
from tests.simulation.engine import INSTANCE, MAX_PULLS, SimulatedEngine
from tests.simulation.follower import Follower
from tests.simulation.record import Record
from tests.simulation.spill import AUTH, TRACER
from tests.simulation.steps import Kill, KillAll, Launch, ListAll, Mistake, Request, Wrong
from tests.simulation.turns import WatchedLine
from tests.simulation.virtual import OWNER, Task, VirtualLoop
from tests.simulation.wire import Context, Wire
from tests.support.supervised import launch_request

GRACE = 2
LAUNCH_TIMEOUT = 6.0
ORPHAN_GRACE = 5.0
_PULL_TIMEOUT = 20.0
_DRAIN_GRACE = 10.0  # as in service/app/process.py
_TURNS_TO_DIE = 100

_TIGHT = {
    "max_launches_under_way": 2,
    "max_launches_waiting": 4,
    "max_running_jobs": TIGHT_MOST,
    "wait_seconds": 5,
}
_MISTAKES: dict[Wrong, tuple[AuthenticatedJobData, str | None]] = {
    "blank": (launch_request("timer", " ", auth=AUTH), None),
    "nul": (launch_request("timer", "a\0", auth=AUTH), None),
    "reserved": (launch_request("timer", "a", {"target": "x"}, AUTH), None),
    "unknown": (launch_request("unheard-of", "a", auth=AUTH), None),
    "large": (launch_request("timer", "a", {"much": "x" * 140_000}, AUTH), None),
    "blank key": (launch_request("timer", "bad", auth=AUTH), " "),
}


class Life:
    """A supervisor. `hear` gets each of its log events."""

    def __init__(
        self,
        loop: VirtualLoop,
        engine: SimulatedEngine,
        hear: Callable[["Life", str, Mapping[str, Any]], None],
        *,
        development: bool,
        adopt: bool,
        tight: bool,
    ) -> None:
        self.began = loop.time()
        self.adopt = adopt
        self.tight = tight
        self.listening = True
        self.record = Record()
        self.rival: Container | None = None  # that ran already when this began
        self._hear = hear
        self._loop = loop
        self._wire = Wire(engine)
        self._context = copy_context()
        self._context.run(OWNER.set, self)
        self.metrics = new_metrics(CATALOG, version="simulation", engine="fake", mode="simulation")
        settings = self._settings(development=development)
        catalog = TIGHT_CATALOG if tight else CATALOG
        self.core = Core(cast("Engine", self._wire), catalog, self.metrics, settings)
        self.core.readiness.subscribe(self.metrics.ready.set)
        self.core.registry.subscribe(self._note_found)
        self._servicer = JobsService(self.core.supervisor, self.core.readiness, self.metrics)
        self.follower = Follower(self.core.journal, self.core.registry)
        self.watching = self._spawn(self.core.watcher.run(), "watcher")

    def _note_found(self, job: Job) -> None:
        """What a launch finds running that is being killed is killed in its place."""
        if job.found and job.kill_intended:
            self.record.kills.setdefault(job.found, self._loop.time())
            self.record.found[job.launch_id] = job.found

    @property
    def dead(self) -> bool:
        """Whether it is over."""
        return self._wire.cut

    @property
    def refused(self) -> bool:
        """Whether it has found a rival at its start."""
        done = self.watching.done() and not self.watching.cancelled()
        return done and isinstance(self.watching.exception(), StartError)

    @property
    def changed(self) -> Sequence[str]:
        """Its calls to the Engine that change a container."""
        return self._wire.changed

    @property
    def now(self) -> float:
        """The time."""
        return self._loop.time()

    def waits_for_room(self, job: Job) -> bool:
        """Whether a launch waits because as many jobs run as may."""
        return job.launch_id in self.core.supervisor.launch_tasks.rooms._line

    def waits_for_image(self, job: Job) -> bool:
        """Whether a launch waits for the pull of its image."""
        waiting = self.core.supervisor.launch_tasks.pulls._waiting
        return any(job.launch_id in launches for launches in waiting.values())

    def was_ended(self, job: Job) -> bool:
        """Whether a launch is about to fail, such as one that made place for another."""
        launch = self.core.supervisor.launches._under_way.get(job.launch_id)
        return launch is not None and launch.error is not None

    @property
    def lines(self) -> Sequence[WatchedLine]:
        """Where launches wait for their turn."""
        tasks = self.core.supervisor.launch_tasks
        lines = tasks.rooms._line, tasks.admission._line
        return [line for line in lines if isinstance(line, WatchedLine)]

    def ended(self, launch_id: str) -> Job | None:
        """A job of its history."""
        kept = self.core.history._kept._entries.get(launch_id)
        return kept.job if kept else None

    @property
    def history(self) -> Collection[str]:
        """The launches of its history."""
        return self.core.history._kept._entries

    @property
    def tasks(self) -> list[Task]:
        """Its tasks."""
        return self._loop.tasks_of(self)

    def call(self, act: Request) -> "asyncio.Task[Any]":
        """Make a request, as a client does."""
        work: Coroutine[Any, Any, Any]
        match act:
            case Launch(name, identifier, params, key):
                request = launch_request(name, identifier, params, AUTH)
                work = self._servicer.LaunchJob(request, Context(key or None))
            case Mistake(what):
                request, key_given = _MISTAKES[what]
                work = self._servicer.LaunchJob(request, Context(key_given))
            case Kill(identifier):
                work = self._servicer.KillJob(JobId(identifier=identifier), Context())
            case KillAll():
                work = self._servicer.KillAllJobs(Empty(), Context())
            case ListAll():
                work = self._servicer.ListJobs(Empty(), Context())
        return self._spawn(_traced(work, type(act).__name__), "request")

    def cordon(self) -> None:
        """Have new launches refused."""
        self.record.cordoned_until = math.inf
        self.record.accepted = frozenset(job.launch_id for job in self.core.registry.jobs())
        self._context.copy().run(Cordoning(self.core.cordon).cordon, "maintenance")

    def uncordon(self) -> None:
        """Have them accepted again. The end of the life has done so, too."""
        if not self.dead:
            self.record.cordoned_until = self.now
            self._context.copy().run(Cordoning(self.core.cordon).uncordon)

    def hear(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take a log event. A process that is being ended writes none any more."""
        if not self.dead:
            self._hear(self, event, fields)

    async def stop(self, requests: Sequence["asyncio.Task[Any]"]) -> None:
        """Stop as on SIGTERM: requests under way have ten seconds, and new ones are refused."""
        self.listening = False
        self.core.readiness.drain()
        try:
            async with asyncio.timeout(_DRAIN_GRACE + 1):
                if requests:
                    _, unanswered = await asyncio.wait(requests, timeout=_DRAIN_GRACE)
                    for request in unanswered:
                        request.cancel()
                await self.core.supervisor.finish()
        except TimeoutError:
            pass  # as in the process: then it ends all the same
        await self.crash()

    async def crash(self) -> None:
        """End at once. AssertionError where something cannot be ended."""
        self.listening = False
        self._wire.cut = True
        for _ in range(_TURNS_TO_DIE):
            if not (tasks := self.tasks):
                return
            for task in tasks:
                if _has_begun(task):  # else it begins now: no coroutine is left unawaited
                    task.cancel()
            await asyncio.sleep(0)
        raise AssertionError(f"tasks that cannot be cancelled: {self.tasks}")

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = self._loop.create_task(
            work, name=name, context=self._context.copy()
        )
        return task

    def _settings(self, *, development: bool) -> Settings:
        chosen = {
            "go_env": "development" if development else "production",
            "job_stop_grace_seconds": GRACE,
            "launch_timeout_seconds": LAUNCH_TIMEOUT,
            "supervisor_on_start": "adopt" if self.adopt else "remove",
            "orphan_grace_seconds": ORPHAN_GRACE,
            "supervisor_instance": INSTANCE,
            "max_pulls": MAX_PULLS,
            "pull_timeout_seconds": _PULL_TIMEOUT,
            **(_TIGHT if self.tight else {}),
        }
        return Settings.model_validate(chosen)


async def _traced(work: Coroutine[Any, Any, Any], name: str) -> Any:
    """A call within its span, as the interceptor makes one."""
    with TRACER.start_as_current_span(name):
        return await work


def _has_begun(task: Task) -> bool:
    coroutine: Any = task.get_coro()
    return getcoroutinestate(coroutine) != CORO_CREATED
