"""One life of the supervisor: the core as the process wires it, up to its end or its crash."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, NoReturn, cast

from google.protobuf.empty_pb2 import Empty

from observability.metrics import Metrics
from service._generated.area_supervisor_pb2 import JobId
from service._generated.area_types_pb2 import AuthenticatedJobData
from service.admission import Bounds
from service.catalog import Catalog, Entry
from service.core import Core, Options
from service.engine.base import Engine
from service.job import Kind
from service.servicer import Servicer
from service.workload import Policy
from tests.simulation.engine import IMAGE, INSTANCE, SimulatedEngine
from tests.simulation.steps import Kill, KillAll, Launch, ListAll, Mistake, Request, Wrong
from tests.simulation.virtual import OWNER, Task, VirtualLoop
from tests.support.supervised import launch_request

GRACE = 2.0
LAUNCH_TIMEOUT = 6.0
ORPHAN_GRACE = 5.0
_DRAIN_GRACE = 10.0  # as in service/serve.py
_TURNS_TO_DIE = 100

CATALOG = Catalog(
    {
        "timer": Entry(kind=Kind.ACTION, image=IMAGE),
        "weather": Entry(kind=Kind.ACTION, image=IMAGE, first_argument="fetch"),
        "webhook": Entry(kind=Kind.ACTION, image=IMAGE, ends=True),
        "mail": Entry(kind=Kind.REACTION, image=IMAGE),
        "missing": Entry(kind=Kind.ACTION, image="missing"),
        "nothing": Entry(kind=Kind.ACTION),
    }
)
_TIGHT = Bounds(under_way=2, waiting=3, running=5)
_MISTAKES: dict[Wrong, tuple[AuthenticatedJobData, str | None]] = {
    "blank": (launch_request("timer", " "), None),
    "nul": (launch_request("timer", "a\0"), None),
    "reserved": (launch_request("timer", "a", {"target": "x"}), None),
    "unknown": (launch_request("unheard-of", "a"), None),
    "large": (launch_request("timer", "a", {"much": "x" * 140_000}), None),
    "blank key": (launch_request("timer", "bad"), " "),
}


class Aborted(Exception):
    """A call was ended with a status of gRPC."""


class Context:
    """What the servicer needs of a gRPC call."""

    def __init__(self, key: str | None = None) -> None:
        self._metadata = () if key is None else (("idempotency-key", key),)

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return self._metadata

    async def abort(self, code: object, details: str) -> NoReturn:
        raise Aborted(f"{code}: {details}")


class Wire:
    """The process's way to the Engine. Once it is cut, the process does nothing any more."""

    def __init__(self, engine: SimulatedEngine) -> None:
        self._engine = engine
        self.cut = False

    def __getattr__(self, name: str) -> Any:
        if self.cut:
            raise asyncio.CancelledError
        return getattr(self._engine, name)


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
        self.launched_keys: dict[str, float] = {}
        self.removal_failures: dict[str, tuple[int, float]] = {}  # of the janitor; how many, when
        self._hear = hear
        self._loop = loop
        self._wire = Wire(engine)
        self._context = copy_context()
        self._context.run(OWNER.set, self)
        self.metrics = Metrics(CATALOG, version="simulation", engine="fake", mode="simulation")
        self.core = Core(
            cast("Engine", self._wire), CATALOG, self.metrics, self._options(development)
        )
        self.core.readiness.subscribe(self.metrics.ready.set)
        self._servicer = Servicer(self.core.supervisor, self.core.readiness, self.metrics)
        self.watching = self._spawn(self.core.watcher.run(), "watcher")

    @property
    def dead(self) -> bool:
        """Whether it is over."""
        return self._wire.cut

    @property
    def tasks(self) -> list[Task]:
        """What goes on in it."""
        return self._loop.tasks_of(self)

    def call(self, act: Request) -> "asyncio.Task[Any]":
        """Make a request, as a client does."""
        match act:
            case Launch(name, identifier, params, key):
                request = launch_request(name, identifier, params, {"token": "secret"})
                work = self._servicer.LaunchJob(request, Context(key or None))
            case Mistake(what):
                request, key_given = _MISTAKES[what]
                work = self._servicer.LaunchJob(request, Context(key_given))
            case Kill(identifier):
                work = self._servicer.KillJob(JobId(identifier=identifier), Context())
            case KillAll():
                work = self._servicer.KillAllJobs(Empty(), Context())
            case ListAll():
                return self._spawn(self._servicer.ListJobs(Empty(), Context()), "request")
        return self._spawn(work, "request")

    def hear(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take a log event. What a process that is being ended says is never written."""
        if not self.dead:
            self._hear(self, event, fields)

    async def stop(self, requests: Sequence["asyncio.Task[Any]"]) -> None:
        """End as on SIGTERM: what is under way has ten seconds, and nothing new is taken."""
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

    def _options(self, development: bool) -> Options:
        return Options(
            policy=Policy("localhost:50050", INSTANCE, "host", GRACE),
            keep=development,
            launch_timeout=LAUNCH_TIMEOUT,
            adopt=self.adopt,
            orphan_grace=ORPHAN_GRACE,
            bounds=_TIGHT if self.tight else Bounds(),
        )


def _has_begun(task: Task) -> bool:
    coroutine: Any = task.get_coro()
    return getcoroutinestate(coroutine) != CORO_CREATED
