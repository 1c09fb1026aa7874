"""An engine that does everything instantly, and uses very little memory per workload.

So that time and memory are the supervisor's own, with 100,000 jobs, too. (The tests' fake looks for
names among all of its containers and waits as a real Engine does: its own cost grows.)
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from itertools import islice

from observability.redaction.redactor import Redactor
from service.engine.capabilities import Capabilities
from service.engine.configuration import Offers, Trait
from service.engine.docker.list_reader import elements, with_pauses
from service.engine.docker.names import DOCKER_NAMES
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.events import Change, Event, Listing
from service.engine.output import Printed, Usage
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Begun, Inspection, Status, Whereabouts, Workload
from service.errors import NoSuchWorkload

# A container as Docker lists it: id, name, labels, state.
_LISTED = (
    b'{"Id": "%s", "Names": ["/%s"], "Image": "worker", "ImageID": "sha256:' + b"0" * 64 + b'",'
    b' "Command": "/sbin/docker-init -- worker --target localhost:50050", "Created": 1700000000,'
    b' "Ports": [], "Labels": %s, "State": "%s", "Status": "Up 2 minutes",'
    b' "HostConfig": {"NetworkMode": "host"}, "NetworkSettings": {"Networks": {"host":'
    b' {"IPAMConfig": null, "Links": null, "Aliases": null, "NetworkID": "", "EndpointID": "",'
    b' "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",'
    b' "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "MacAddress": "", "DriverOpts": null}}},'
    b' "Mounts": []}'
)
_AT_ONCE = 50  # entries in a chunk: as many as Docker sends in one write


class InstantEngine:
    """Implements `service.engine.base.Engine`."""

    title = "instant engine"
    name_grammar = DOCKER_NAMES
    capabilities = Capabilities(streams_events=True)

    def __init__(self) -> None:
        self._made = 0
        # Labels as bytes, so that the garbage collector finds only the supervisor's objects.
        self._labels: dict[int, bytes] = {}
        self._exits: dict[int, int] = {}
        self._streams: list[asyncio.Queue[Event]] = []

    @property
    def size(self) -> int:
        """The memory of its workloads (bytes)."""
        entries = (sys.getsizeof(key) + sys.getsizeof(value) for key, value in self._labels.items())
        return sys.getsizeof(self._labels) + sum(entries)

    def exit(self, workload_id: str, code: int) -> None:
        """Let a workload exit."""
        self._exits[int(workload_id, 16)] = code
        self._tell(Change.EXITED, workload_id, code)

    def whereabouts(self, workloads: Sequence[Workload]) -> Whereabouts:
        del workloads
        return Whereabouts()

    async def ping(self, *, deep: bool = False) -> None:
        del deep

    async def leaving(self) -> bool:
        return False

    async def start(self, spec: WorkloadSpec, *, timeout: float) -> Begun:
        del timeout
        self._made += 1
        self._labels[self._made] = json.dumps(dict(spec.labels)).encode()
        workload_id = f"{self._made:064x}"
        self._tell(Change.CREATED, workload_id)
        self._tell(Change.STARTED, workload_id)
        return Begun(workload_id)

    async def start_successor(
        self,
        workload_id: str,
        labels: Mapping[str, str],
        *,
        redact: Callable[[Inspection], Redactor],
        timeout: float,
    ) -> Begun:
        raise NotImplementedError  # no job of the benchmarks is started again

    async def stop(self, workload_id: str, *, grace: float) -> None:
        del grace
        self.exit(workload_id, 143)

    async def remove(self, workload_id: str, *, force: bool = False) -> bool:
        del force
        self._tell(Change.REMOVED, workload_id)
        key = int(workload_id, 16)
        del self._labels[key]
        self._exits.pop(key, None)
        return True

    async def inspect(self, workload_id: str, *, timeout: float = 10.0) -> Inspection:
        del timeout
        key = int(workload_id, 16)
        if key not in self._labels:
            raise NoSuchWorkload(f"container {workload_id}: does not exist")
        return Inspection(
            id=workload_id,
            status=self._status(key),
            labels=self._labels_of(key),
            exit_code=self._exits.get(key, 0),
            oom_killed=False,
            started_at=time.time(),
            ended_at=time.time() if key in self._exits else None,
            arguments=(),
        )

    async def tail(self, workload_id: str, *, lines: int, edit: Callable[[str], str] = str) -> str:
        del workload_id, lines
        return edit("")

    async def logs(
        self,
        workload_id: str,
        *,
        follow: bool = False,
        since: int = 0,
        tail: int | None = None,
    ) -> AsyncGenerator[Sequence[Printed], None]:
        del workload_id, follow, since, tail
        yield ()

    async def stats(self, workload_ids: Sequence[str], *, timeout: float) -> Mapping[str, Usage]:
        del workload_ids, timeout
        return {}

    async def list(
        self, *, unless: Callable[[Workload], bool] = lambda _: False
    ) -> Sequence[Workload]:
        """See `Engine.list`. Runs in a thread, with the reader of Docker's answers."""
        return await asyncio.to_thread(self._list, unless)

    async def find(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        return [each for each in await self.list() if labels.items() <= each.labels.items()]

    async def names(self) -> Sequence[str]:
        return [str(key) for key in self._labels]

    async def traits(self) -> frozenset[Trait]:
        return frozenset()

    async def offers(self) -> Offers:
        return Offers()

    async def watch(self) -> AsyncGenerator[Listing | Event, None]:
        news: asyncio.Queue[Event] = asyncio.Queue()
        self._streams.append(news)
        yield Listing(await self.list())
        while True:
            yield await news.get()

    async def close(self) -> None:
        pass

    def _list(self, unless: Callable[[Workload], bool]) -> Sequence[Workload]:
        pieces = self._answer()
        chunks = iter(lambda: b"".join(islice(pieces, _AT_ONCE)), b"")
        items = with_pauses(elements(chunks))
        return [each for each in TolerantReader().workloads(items) if not unless(each)]

    def _answer(self) -> Iterator[bytes]:
        """Docker's answer, in pieces."""
        separator = b"["
        for key in list(self._labels):
            labels = self._labels.get(key)
            if labels is not None:
                state = b"exited" if key in self._exits else b"running"
                yield separator + _LISTED % (b"%064x" % key, b"%d" % key, labels, state)
                separator = b","
        yield b"[]" if separator == b"[" else b"]"

    def _status(self, key: int) -> Status:
        return Status.EXITED if key in self._exits else Status.LIVE

    def _labels_of(self, key: int) -> Mapping[str, str]:
        labels: dict[str, str] = json.loads(self._labels[key])
        return labels

    def _tell(self, change: Change, workload_id: str, code: int | None = None) -> None:
        labels = self._labels_of(int(workload_id, 16))
        for news in self._streams:
            news.put_nowait(Event(id=workload_id, change=change, labels=labels, exit_code=code))
