"""The engines of the contract suite, with what it takes to bring each into every state."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import docker
import docker.errors

from scripts.private_engine import PrivateEngine
from service.app.metric_labels import new_metrics
from service.engine.base import Engine
from service.engine.docker.connection import Connection
from service.engine.docker.engine import DockerEngine
from service.engine.events import Event, Listing
from service.engine.swarm.engine import SwarmEngine
from service.engine.workload_spec import WorkloadSpec
from service.errors import EngineError
from tests.fake_engine.engine import FakeEngine
from tests.support import containers, worker
from tests.support.swarm import Swarm, SwarmNode, wait_for

OURS = "test.contract.instance"


class Rig(Protocol):
    """An engine and its surroundings."""

    engine: Engine
    selector: dict[str, str]

    async def stranger(self, name: str, labels: dict[str, str] | None = None) -> str:
        """Run a container that is not ours; its id."""

    async def start_by_hand(self, container_id: str) -> None:
        """What a third party does with `docker start`."""

    async def kill_by_hand(self, container_id: str, signal: int) -> None:
        """What a third party does with `docker kill -s`."""

    async def pause_by_hand(self, container_id: str, *, paused: bool) -> None:
        """What a third party does with `docker pause`, or `unpause`."""

    async def go_away(self) -> None:
        """Take the Engine away, as a crash does."""

    async def come_back(self) -> None:
        """Bring it back."""

    async def hang(self) -> None:
        """Make it answer nothing."""

    async def wake(self) -> None:
        """Make it go on."""

    async def clean(self) -> None:
        """Leave nothing behind."""


class FakeRig:
    """The fake Engine, or a variant of it."""

    def __init__(self, kind: Callable[..., FakeEngine] = FakeEngine) -> None:
        self.selector = {OURS: secrets.token_hex(4)}
        self.fake = kind(self.selector, images=[worker.IMAGE, worker.BROKEN])
        self.fake.host.broken[worker.BROKEN] = "exec /nope failed: No such file or directory"
        self.engine: Engine = self.fake

    async def stranger(self, name: str, labels: dict[str, str] | None = None) -> str:
        spec = WorkloadSpec(name=name, image=worker.IMAGE, arguments=[], labels=labels or {})
        container = self.fake.host.create(spec)
        self.fake.host.start(container.id)
        return container.id

    async def start_by_hand(self, container_id: str) -> None:
        self.fake.host.start(container_id)

    async def kill_by_hand(self, container_id: str, signal: int) -> None:
        self.fake.host.kill(container_id, signal)

    async def pause_by_hand(self, container_id: str, *, paused: bool) -> None:
        self.fake.host.pause(container_id, paused=paused)

    async def go_away(self) -> None:
        self.fake.go_away()

    async def come_back(self) -> None:
        self.fake.come_back()

    async def hang(self) -> None:
        self.fake.hang()

    async def wake(self) -> None:
        self.fake.wake()

    async def clean(self) -> None:
        await self.fake.close()


class DockerRig:
    """Docker's adapter on the private Engine of the tests."""

    def __init__(self, private: PrivateEngine, client: docker.DockerClient, host: str) -> None:
        """`host` is the DOCKER_HOST of the adapter; `client` is the tests' own."""
        self.selector = {OURS: secrets.token_hex(4)}
        self.private = private
        self.client = client
        self.metrics = new_metrics([], version="test", engine="docker", mode="test")
        self._host = host
        self.engine: Engine = self._engine()

    def _engine(self, allowed_folders: Sequence[str] = ()) -> DockerEngine:
        connection = Connection(self._host)
        return DockerEngine(
            connection, self.selector, self.metrics, allowed_folders=allowed_folders
        )

    async def allow(self, *folders: str) -> None:
        """Let workloads have these folders of the host from now on."""
        await self.engine.close()
        self.engine = self._engine(folders)

    def errors(self) -> float:
        """How many calls to the Engine have failed, by the adapter's metrics."""
        samples = (each for family in self.metrics.registry.collect() for each in family.samples)
        return sum(e.value for e in samples if e.name == "supervisor_engine_errors_total")

    async def stranger(self, name: str, labels: dict[str, str] | None = None) -> str:
        def run() -> str:
            container = self.client.containers.run(
                worker.IMAGE, name=name, labels=labels or {}, detach=True, network_mode="host"
            )
            return str(container.id)

        return await asyncio.to_thread(run)

    async def start_by_hand(self, container_id: str) -> None:
        await asyncio.to_thread(self.client.api.start, container_id)

    async def kill_by_hand(self, container_id: str, signal: int) -> None:
        await asyncio.to_thread(self.client.api.kill, container_id, signal)

    async def pause_by_hand(self, container_id: str, *, paused: bool) -> None:
        await asyncio.to_thread(containers.pause, self.client, container_id, paused=paused)

    async def go_away(self) -> None:
        await asyncio.to_thread(self.private.kill)

    async def come_back(self) -> None:
        await asyncio.to_thread(self.private.start)

    async def hang(self) -> None:
        self.private.freeze()

    async def wake(self) -> None:
        self.private.thaw()

    async def inspect(self, container_id: str) -> dict[str, Any]:
        """All that the Engine knows of a container."""
        found: dict[str, Any] = await asyncio.to_thread(
            self.client.api.inspect_container, container_id
        )
        return found

    async def clean(self) -> None:
        self.private.thaw()
        await asyncio.to_thread(self.private.start)
        await asyncio.to_thread(containers.remove_everything, self.client)
        await self.engine.close()


class SwarmRig:
    """Swarm's adapter on a Swarm of the tests, through its first manager."""

    def __init__(self, swarm: Swarm) -> None:
        self.selector = {OURS: secrets.token_hex(4)}
        self.swarm = swarm
        self.metrics = new_metrics([], version="test", engine="swarm", mode="test")
        self.engine: Engine = self.engine_at(swarm.manager)

    def engine_at(self, node: SwarmNode, allowed_folders: Sequence[str] = ()) -> SwarmEngine:
        """The adapter as another supervisor has it, which talks to another manager."""
        connection = Connection(node.host)
        return SwarmEngine(connection, self.selector, self.metrics, allowed_folders=allowed_folders)

    async def allow(self, *folders: str) -> None:
        """See `DockerRig.allow`."""
        await self.engine.close()
        self.engine = self.engine_at(self.swarm.manager, folders)

    def kills_on_lost_nodes(self) -> Mapping[str, float]:
        """How many the adapters have counted, by node."""
        name = "supervisor_kills_on_lost_nodes_total"
        samples = (each for family in self.metrics.registry.collect() for each in family.samples)
        return {each.labels["node"]: each.value for each in samples if each.name == name}

    async def stranger(self, name: str, labels: dict[str, str] | None = None) -> str:
        def run() -> str:
            with self.swarm.manager.client() as client:
                service = client.services.create(
                    worker.IMAGE,
                    name=name,
                    labels=labels or {},
                    networks=["host"],
                    init=True,
                )  # type: ignore[no-untyped-call]
                wait_for(
                    lambda: [t["Status"]["State"] for t in service.tasks()] == ["running"],
                    "the stranger runs",
                )
                return str(service.id)

        return await asyncio.to_thread(run)

    async def start_by_hand(self, container_id: str) -> None:
        await asyncio.to_thread(self._act, container_id, "start")

    async def kill_by_hand(self, container_id: str, signal: int) -> None:
        await asyncio.to_thread(self._act, container_id, "kill", signal=signal)

    async def pause_by_hand(self, container_id: str, *, paused: bool) -> None:
        await asyncio.to_thread(self._act, container_id, "pause" if paused else "unpause")

    def _act(self, service_id: str, action: str, **options: Any) -> None:
        """What is done to the container of a service, on its node."""
        label = f"com.docker.swarm.service.id={service_id}"
        for node in self.swarm.nodes:
            with node.client() as client:
                # One that has ended stays beside its successor.
                ended = action == "start"
                for container in client.containers.list(
                    all=ended, filters={"label": label}, ignore_removed=True
                ):
                    getattr(container, action)(**options)

    async def go_away(self) -> None:
        await asyncio.to_thread(self.swarm.manager.kill)

    async def come_back(self) -> None:
        await asyncio.to_thread(self.swarm.manager.start)
        await asyncio.to_thread(self.swarm.wait_until_ready)

    async def hang(self) -> None:
        self.swarm.manager.freeze()

    async def wake(self) -> None:
        self.swarm.manager.thaw()

    async def clean(self) -> None:
        self.swarm.manager.thaw()
        await self.come_back()
        await asyncio.to_thread(self.swarm.clear)
        await self.engine.close()


class Listener:
    """Everything that one connection's `watch` has said so far."""

    def __init__(self, engine: Engine) -> None:
        self.heard: list[Listing | Event] = []
        self.ended = asyncio.create_task(self._listen(engine.watch()))

    async def _listen(self, news: AsyncGenerator[Listing | Event, None]) -> None:
        try:
            async for item in news:
                self.heard.append(item)
        except EngineError:
            pass  # an end that the contract allows
        finally:
            await news.aclose()

    @property
    def listing(self) -> Listing:
        """What came first."""
        first = self.heard[0]
        assert isinstance(first, Listing)
        return first

    @property
    def events(self) -> list[Event]:
        """What came after it."""
        return [item for item in self.heard[1:] if isinstance(item, Event)]

    def changes(self, workload_id: str) -> list[str]:
        """What happened to one workload, in order."""
        return [event.change.value for event in self.events if event.id == workload_id]

    async def close(self) -> None:
        """Hang up."""
        self.ended.cancel()
        await asyncio.wait({self.ended})


async def until(check: Callable[[], bool], *, within: float = 20.0) -> None:
    """Wait for a condition; AssertionError if that takes too long (seconds)."""
    await until_async(_awaitable(check), within=within)


async def until_async(check: Callable[[], Awaitable[bool]], *, within: float = 20.0) -> None:
    """Wait for a condition that has to be asked for."""
    try:
        async with asyncio.timeout(within):
            while not await check():  # noqa: ASYNC110 - what it asks has no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {within} s") from None


def _awaitable(check: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return check()

    return ask
