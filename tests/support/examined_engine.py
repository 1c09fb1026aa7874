"""An engine for check-ups, which says what it is told to."""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from service.engine.examiner import EngineFacts, Ran
from service.engine.workloads import Workload
from service.errors import EngineTimeout


class Engine:
    """An engine that says what it is told to."""

    shown, address, socket = "tcp://engine", "tcp://engine", ""

    def __init__(self, **facts: Any) -> None:
        known = {"product": "Docker", "version": "26.1.5", "folder": "/var/lib/docker"}
        limits = dict.fromkeys(("memory", "memory_reservation", "cpus", "pids"), True)
        self._facts = EngineFacts(**{**known, "limits": limits, **facts})
        self.locked_out = False
        self.answers = threading.Event()
        self.answers.set()
        self.missing: set[str] = set()
        self.asked = 0  # for images
        self.ran: Ran | Exception = Ran(0, "")
        self.commands: list[Sequence[str]] = []

    def facts(self) -> EngineFacts:
        return self._facts

    def ping(self) -> None:
        self.answers.wait(30)

    def close(self) -> None: ...

    def networks(self) -> Collection[str]:
        if self.locked_out:
            raise EngineTimeout("the Docker Engine took too long: list for networks")
        return ["host", "bridge"]

    def images(self, names: Iterable[str]) -> frozenset[str]:
        self.asked += 1
        return frozenset(names) - self.missing

    def workloads(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        del labels
        return []

    def own_image(self) -> str:
        return "supervisor"

    def run(self, image: str, network: str, command: Sequence[str], *, within: float) -> Ran:
        del network, within
        self.commands.append([image, *command])
        if isinstance(self.ran, Exception):
            raise self.ran
        return self.ran
