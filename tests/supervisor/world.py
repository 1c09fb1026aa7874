"""The use cases on the fake Engine, wired as service/app/process.py wires them."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

from structlog.testing import capture_logs

from service.app.metric_labels import new_metrics
from service.app.wiring import Core
from service.engine.workload_spec import PullPolicy, WorkloadSpec
from service.engine.workloads import Status
from service.errors import EngineFailed, NoSuchWorkload, SupervisorError
from service.jobs.catalog import Catalog
from service.jobs.catalog_keys import Entry
from service.jobs.labels import INSTANCE_LABEL
from service.jobs.model import JobSpec, Kind
from service.settings import Settings
from tests.fake_engine.engine import FakeEngine
from tests.fake_engine.host import Container, FakeHost
from tests.fake_engine.shared import SharedEngine
from tests.support.clock import skipping_waits

T = TypeVar("T")

INSTANCE = "default"
IMAGE = "worker"
GRACE = 5
# How often a removal is tried before the container is set aside.
TRIES = 4
# Within which an exit has to be noticed (seconds).
NOTICE = 2.0

# It has half a minute to become healthy.
CHECKED = {
    "kind": "action",
    "image": IMAGE,
    "ready": "healthcheck",
    "ready_timeout": "30s",
    "healthcheck": {"command": ["/healthy"]},
}


def _action(**keys: Any) -> Entry:
    return Entry.model_validate({"kind": "action", "image": IMAGE, **keys})


CATALOG = Catalog(
    {
        "timer": Entry(kind=Kind.ACTION, image=IMAGE),
        "webhook": Entry(kind=Kind.ACTION, image=IMAGE, ends=True),
        "mail": Entry(kind=Kind.REACTION, image=IMAGE),
        "missing": Entry(kind=Kind.ACTION, image="missing"),
        "far": Entry(kind=Kind.ACTION, image="far", pull=PullPolicy.MISSING),
        "farther": Entry(kind=Kind.ACTION, image="farther", pull=PullPolicy.MISSING),
        "fresh": Entry(
            kind=Kind.ACTION, image=IMAGE, pull=PullPolicy.ALWAYS, platform="linux/arm64"
        ),
        "nothing": Entry(kind=Kind.ACTION),
        "api": Entry.model_validate(CHECKED),
        "setup": Entry.model_validate(CHECKED | {"ends": True}),
        "unchecked": Entry(kind=Kind.ACTION, image=IMAGE, ready="healthcheck"),
        "patient": _action(stop_grace="20s"),
        "limited": _action(time_limit="15m"),
        "limited again": _action(time_limit="15m", restart={}),
        "limited, later again": _action(
            time_limit="15m", restart={"back_off": "24h", "most": "24h"}
        ),
        "again": _action(restart={"on": "end"}),
        "healthy again": _action(
            restart={"unhealthy": True}, healthcheck={"command": ["/healthy"]}
        ),
        "healthy once": _action(
            restart={"unhealthy": True, "attempts": 1}, healthcheck={"command": ["/healthy"]}
        ),
        "healthy first": Entry.model_validate(CHECKED | {"restart": {"unhealthy": True}}),
        "patiently again": _action(restart={"on": "end", "back_off": "24h", "most": "24h"}),
        "carefully again": _action(
            restart={"attempts": 2, "window": "1m", "most": "10s"}, final_exit_codes=[2, 64]
        ),
    }
)


class World:
    """A supervisor, its Engine, and what a test asks of them. Make it with `a_world`."""

    def __init__(
        self,
        *,
        keep: bool,
        adopt: bool = False,
        catalog: Catalog = CATALOG,
        engine: Callable[..., FakeEngine] = FakeEngine,
        **settings: Any,
    ) -> None:
        self.engine = made = engine({INSTANCE_LABEL: INSTANCE}, images=[IMAGE])
        self.host = made.host
        self.faults = made.faults
        chance = random.Random(0)
        made.latency = lambda: chance.uniform(0, 0.01)
        self.metrics = metrics = new_metrics(catalog, version="test", engine="fake", mode="test")
        chosen = {
            "go_env": "development" if keep else "production",
            "supervisor_on_start": "adopt" if adopt else "remove",
            "supervisor_instance": INSTANCE,
            **settings,
        }
        # A copy, because a test may change it.
        self._catalog = catalog = Catalog(catalog, catalog.image_limits)
        self._core = core = Core(made, catalog, metrics, Settings.model_validate(chosen))
        self.readiness, self.registry = core.readiness, core.registry
        self.background, self.reaper = core.background, core.reaper
        self.supervisor, self.watcher = core.supervisor, core.watcher
        self.observer, self.history = core.observer, core.history
        self.cordon, self.earlier = core.cordon, core.earlier
        self.logs: list[MutableMapping[str, Any]] = []
        self._watching: asyncio.Task[None] | None = None

    # What a backend asks

    def launching(
        self, identifier: str, name: str = "timer", *, key: str = "", **params: Any
    ) -> "Asked":
        """A launch, under way; `key` is its idempotency-key."""
        fingerprint = hash((name, repr(params)))
        spec = JobSpec(name, identifier, params, fingerprint=fingerprint, idempotency_key=key)
        return _asked(self.supervisor.launch(spec))

    async def launch(self, identifier: str, name: str = "timer", **params: Any) -> None:
        """A launch, done."""
        await self.launching(identifier, name, **params)

    def killing(self, identifier: str) -> "Asked":
        """A kill, under way."""
        return _asked(self.supervisor.kill(identifier))

    async def kill(self, identifier: str) -> None:
        """A kill, done."""
        await self.killing(identifier)

    def killing_all(self) -> "Asked":
        """A kill of everything, under way."""
        return _asked(self.supervisor.kill_all())

    def states(self) -> dict[str, str]:
        """Each identifier that is taken, and the state of its newest job."""
        return {job.identifier: job.state.value for job in self.registry.jobs()}

    def listed(self) -> dict[str, str]:
        """What ListJobs says."""
        return {job.identifier: job.state.value for job in self.supervisor.list_jobs()}

    # What an operator does

    def use_catalog(self, newer: Catalog) -> None:
        """Change the catalogue."""
        self._catalog.replace(newer)
        self._core.note_new_catalog()

    # What is really there

    def container(self, name: str) -> Container:
        """The container that holds a name."""
        return self.host.named(name)

    def exists(self, name: str) -> bool:
        """Whether a container holds a name."""
        try:
            self.host.named(name)
        except NoSuchWorkload:
            return False
        return True

    def running(self) -> list[str]:
        """The names of the live containers, sorted."""
        return sorted(container.spec.name for container in self.host.live)

    def left(self) -> list[str]:
        """The names of all containers, sorted."""
        return sorted(container.spec.name for container in self.host.containers)

    def put(
        self,
        name: str,
        labels: dict[str, str] | None = None,
        *,
        started: bool = True,
        **more: Any,
    ) -> Container:
        """A container that was there before, or that somebody else runs."""
        spec = WorkloadSpec(
            name=name, image=IMAGE, arguments=(), labels=labels or {}, **{"network": "host"} | more
        )
        container = self.host.create(spec)
        if started:
            self.host.start(container.id)
        return container

    # What was counted

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def counted(self) -> dict[str, float]:
        """What has happened so far, without what has not."""
        names = ("launches", "dedups", "failures", "kills", "exits")
        totals = {name: self.metric(f"supervisor_{name}_total") for name in names}
        return {name: total for name, total in totals.items() if total}

    def outcomes(self, metric: str) -> dict[str, float]:
        """A counter by its label `outcome`, without zeros."""
        found: dict[str, float] = {}
        for family in self.metrics.registry.collect():
            for sample in family.samples:
                if sample.name == metric and sample.value:
                    outcome = sample.labels["outcome"]
                    found[outcome] = found.get(outcome, 0) + sample.value
        return found

    def logged(self, event: str) -> list[MutableMapping[str, Any]]:
        """The log's events of one name."""
        return [entry for entry in self.logs if entry["event"] == event]

    # Its life

    def watch(self) -> None:
        """Begin to follow the Engine."""
        self._watching = asyncio.create_task(self.watcher.run())

    async def ready(self) -> None:
        """Wait until the registry is in step with the Engine."""
        await until(lambda: self.readiness.ready, within=40)

    async def end(self) -> None:
        """Stop everything, and complain about what has crashed."""
        self.engine.come_back()
        await self.supervisor.finish()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
            assert self._watching.cancelled(), self._watching.exception()
        for task in list(self.background._tasks):
            task.cancel()
        await self.engine.close()
        assert [] == self.logged("background.crashed")


class Asked(Awaitable[None]):
    """A request under way, whose failure is looked at when the test gets to it."""

    def __init__(self, task: "asyncio.Task[None]") -> None:
        self.task = task
        self.hung_up = False

    def __await__(self) -> Any:
        return self._within_a_minute().__await__()

    async def _within_a_minute(self) -> None:
        async with asyncio.timeout(60):  # nothing may take longer, not even the first listing
            await self.task

    @property
    def done(self) -> bool:
        """Whether it has been answered."""
        return self.task.done()

    @property
    def error(self) -> SupervisorError | None:
        """What it was answered with."""
        error = self.task.exception()
        assert error is None or isinstance(error, SupervisorError)
        return error

    async def answer(self) -> int:
        """The code that it is answered with, 0 for a success."""
        try:
            await self
        except SupervisorError as error:
            return error.code
        return 0

    def hang_up(self) -> None:
        """What becomes of a request whose client has gone."""
        self.hung_up = True
        self.task.cancel()


def _asked(work: Coroutine[Any, Any, None]) -> Asked:
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return Asked(task)


@asynccontextmanager
async def a_world(
    *, keep: bool = False, started: bool = True, real_time: bool = False, **settings: Any
) -> AsyncIterator[World]:
    """A supervisor in production, with `keep` in development, that follows its Engine.

    `settings` are those of `service.settings`, `adopt` and `catalog`. `real_time` is for what is
    not all in memory, such as a socket.
    """
    clock = nullcontext() if real_time else skipping_waits()
    with clock, capture_logs() as logs:
        world = World(keep=keep, **settings)
        world.logs = logs
        if started:
            world.watch()
            await world.ready()
        yield world
        await world.end()


@asynccontextmanager
async def two_worlds(**settings: Any) -> AsyncIterator[tuple[World, World]]:
    """Two supervisors of one instance that share an engine, and one log."""
    host = FakeHost([IMAGE], ["host"])
    with skipping_waits(), capture_logs() as logs:
        worlds = [a_sharing_world(host, logs, **settings) for _ in range(2)]
        for world in worlds:
            world.watch()
            await world.ready()
        yield worlds[0], worlds[1]
        for world in worlds:
            await world.end()


def a_sharing_world(host: FakeHost, logs: list[MutableMapping[str, Any]], **settings: Any) -> World:
    """One more supervisor on a host."""
    made = partial(SharedEngine, host=host)
    world = World(keep=False, adopt=True, engine=made, **settings)
    world.logs = logs
    return world


def refuse_removal(world: World) -> None:
    """Let the next removal fail as often as it is tried, and its container not be renamed."""
    world.faults.fail("remove", EngineFailed("device busy"), times=TRIES)
    world.faults.fail("set aside", EngineFailed("not permitted"))


async def until(check: Callable[[], bool], *, within: float = NOTICE) -> None:
    """Wait for a condition; AssertionError if that takes too long (seconds)."""
    try:
        async with asyncio.timeout(within):
            while not check():  # noqa: ASYNC110 - the condition has no event
                await asyncio.sleep(max(0.01, within / 1000))
    except TimeoutError:
        raise AssertionError(f"not within {within} s") from None


async def pass_time(seconds: float = NOTICE) -> None:
    """Let happen whatever would happen in that time; it takes none."""
    await asyncio.sleep(seconds)


def is_live(container: Container) -> bool:
    """Whether a container runs."""
    return container.status is Status.LIVE
