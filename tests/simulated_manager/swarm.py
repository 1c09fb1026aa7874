"""The state of a Swarm of one node, and how its tasks get on.

What takes a while is noted with its time, and done when somebody asks for something after that
time: nothing runs here by itself. The states, the words and their order are those that were seen on
Docker 20.10.
"""

import heapq
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from http import HTTPStatus
from itertools import count
from signal import Signals
from typing import Any

from tests.simulated_manager.tasks import (
    HOSTNAME,
    NODE,
    Service,
    Task,
    framed,
    new_id,
    node_id,
)

_SIGNALLED, _SIGKILLED, _NOT_RUN = 128, 137, 127
_SHUTDOWN, _REMOVE = "shutdown", "remove"
_UNSATISFIED = "no suitable node (scheduling constraints not satisfied on 1 node)"
_ENDED = ("complete", "shutdown", "failed", "rejected")
# Until a task runs, and from an order to end to SIGTERM (seconds). A real one takes 0.5 and 2.
_STARTING, _STOPPING = 0.1, 0.1


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class SimulatedSwarm:
    """Its methods are for any thread. Those that a request calls raise `Refused`."""

    def __init__(
        self, images: Collection[str], broken: Mapping[str, str] | None = None, nodes: int = 1
    ) -> None:
        """`broken` are images, with why their program cannot be run.

        Of several nodes, all but the first have only what `copy` makes.
        """
        self.nodes = nodes
        self._images, self._broken = {*images, *(broken or {})}, broken or {}
        self._services: dict[str, Service] = {}
        self._tasks: dict[str, list[Task]] = {}  # by service
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count(1)
        self._lock = threading.RLock()

    # What is asked of a manager

    def create(self, spec: dict[str, Any]) -> str:
        """Make a service; its id."""
        with self._now():
            for network in spec["TaskTemplate"].get("Networks") or []:
                if network["Target"] != "host":
                    name = network["Target"]
                    raise Refused(HTTPStatus.NOT_FOUND, f"network {name} not found")
            if any(s.name.lower() == spec["Name"].lower() for s in self._services.values()):
                raise Refused(
                    HTTPStatus.CONFLICT,
                    "rpc error: code = AlreadyExists desc = name conflicts with an existing object:"
                    f" service {spec['Name']} already exists",
                )
            service = Service(spec, time.time(), next(self._numbers))
            self._services[service.id] = service
            self._tasks[service.id] = []
            self._add_task(service)
            return service.id

    def update(self, service_id: str, version: int, spec: dict[str, Any]) -> None:
        """Change what is to run: the task that is there ends, and there is a new one."""
        with self._now():
            service = self._service(service_id)
            if version != service.version:
                words = "rpc error: code = Unknown desc = update out of sequence"
                raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, words)
            service.spec, service.version = spec, next(self._numbers)
            for task in self._tasks[service_id]:
                self._want(task, _SHUTDOWN)
            self._add_task(service)

    def remove(self, service_id: str) -> None:
        """Its name is free at once, and its tasks are gone once they have ended."""
        with self._now():
            service = self._service(service_id)
            del self._services[service_id]
            service.removed = True
            for task in list(self._tasks[service_id]):
                self._want(task, _REMOVE)

    def service(self, service_id: str) -> Mapping[str, Any]:
        with self._now():
            return self._service(service_id).described()

    def services(
        self, labels: Sequence[str] = (), names: Sequence[str] = ()
    ) -> Sequence[Mapping[str, Any]]:
        """Those with all labels (KEY=VALUE), and whose names begin with one of some."""
        with self._now():
            return [
                each.described()
                for each in self._services.values()
                if _has(each, labels) and (not names or each.name.startswith(tuple(names)))
            ]

    def tasks(self, labels: Sequence[str] = (), services: Sequence[str] = ()) -> Sequence[bytes]:
        """Those of some services, or of services with all labels; in JSON."""
        with self._now():
            for each in services:
                self._service(each)
            chosen = services or list(self._tasks)
            return [
                task.encoded()
                for service in chosen
                for task in self._tasks[service]
                if _has(task.service, labels)
            ]

    def logs(self, task_id: str, lines: int) -> bytes:
        with self._now():
            every = (task for of_one in self._tasks.values() for task in of_one)
            task = next((task for task in every if task.id == task_id), None)
            if task is None:
                raise Refused(HTTPStatus.NOT_FOUND, f"task {task_id} not found")
            text = task.output()
            if why := self._broken.get(task.image):
                text = f"[FATAL tini (7)] exec {why}\n"
            return framed("".join(text.splitlines(keepends=True)[-lines:]))

    # What happens past a manager

    def end(self, service_id: str, code: int) -> None:
        """The program of a service ends by itself."""
        with self._now():
            (task,) = [task for task in self._tasks[service_id] if task.runs]
            self._end(task, code)

    def copy(self, service_id: str, times: int, renamed: Callable[[Any, int], Any]) -> None:
        """Let as many services like this one run; `renamed` changes its spec for each."""
        with self._now():
            spec = self._service(service_id).spec
            for number in range(times):
                service = Service(renamed(deepcopy(spec), number), time.time(), next(self._numbers))
                self._services[service.id] = service
                self._tasks[service.id] = []
                task = self._add_task(service)
                task.node = node_id(number % self.nodes)
                self._run(task)

    # How tasks get on

    @contextmanager
    def _now(self) -> Iterator[None]:
        """Hold the lock, with all that is due done."""
        with self._lock:
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()
            yield

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), act))

    def _service(self, service_id: str) -> Service:
        try:
            return self._services[service_id]
        except KeyError:
            raise Refused(HTTPStatus.NOT_FOUND, f"service {service_id} not found") from None

    def _add_task(self, service: Service) -> Task:
        task = Task(service, service.spec["TaskTemplate"], time.time(), next(self._numbers))
        self._tasks[service.id].append(task)
        if not all(map(_is_met, task.constraints)):
            self._move(task, "pending", err=_UNSATISFIED)
            return task
        task.node = NODE
        self._move(task, "preparing")
        self._later(_STARTING, lambda: self._run(task))
        return task

    def _run(self, task: Task) -> None:
        if task.state != "preparing":
            return
        if task.image not in self._images:
            task.desired = _SHUTDOWN
            self._move(task, "rejected", err=f"No such image: {task.image}:latest")
            return
        task.container = new_id()
        self._move(task, "running")
        if task.image in self._broken:
            self._end(task, _NOT_RUN)
        elif (code := task.option("--exit")) is not None:
            self._end(task, int(code))
        elif task.option("--eat") is not None:
            self._end(task, _SIGKILLED)

    def _want(self, task: Task, desired: str) -> None:
        """Have a task end."""
        told = task.desired in (_SHUTDOWN, _REMOVE)
        task.desired, task.version = desired, next(self._numbers)
        if not task.runs:
            if task.state not in _ENDED:
                self._move(task, "shutdown")
            self._forget(task)
        elif not told:
            # Without an init, the tests' worker has no handler as the first process.
            ignores = task.option("--stubborn") is not None or not task.has_init
            code = _SIGKILLED if ignores else _SIGNALLED + Signals[task.stop_signal]
            wait = _STOPPING + (task.grace if ignores else 0)
            self._later(wait, lambda: self._end(task, code))

    def _end(self, task: Task, code: int) -> None:
        if not task.runs:
            return
        task.code = code
        if task.desired in (_SHUTDOWN, _REMOVE):
            self._move(task, "shutdown")
        elif code:
            self._move(task, "failed", err=f"task: non-zero exit ({code})")
        else:
            self._move(task, "complete")
        if task.desired != _REMOVE:
            task.desired = _SHUTDOWN
        self._forget(task)

    def _forget(self, task: Task) -> None:
        """Tasks of a service that is removed are gone with their end."""
        if task.service.removed:
            tasks = self._tasks[task.service.id]
            tasks.remove(task)
            if not tasks:
                del self._tasks[task.service.id]

    def _move(self, task: Task, state: str, *, err: str = "") -> None:
        task.state, task.err, task.since = state, err, time.time()
        task.version = next(self._numbers)


def _has(service: Service, labels: Sequence[str]) -> bool:
    found = {f"{key}={value}" for key, value in service.labels.items()}
    return found.issuperset(labels)


def _is_met(constraint: str) -> bool:
    return constraint in (f"node.id=={NODE}", f"node.hostname=={HOSTNAME}") or (
        constraint.startswith("node.id!=") and constraint != f"node.id!={NODE}"
    )
