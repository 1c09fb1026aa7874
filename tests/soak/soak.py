"""Cycle after cycle against one supervisor: a launch, and an end of one kind or another."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import docker

from service._generated.area_types_pb2 import Response
from tests.soak.samples import Sample, sample
from tests.support import containers
from tests.support.supervised import Supervised, eventually

_AT_ONCE = 6
_NOTICED = 30.0  # an exit is noticed in milliseconds; a machine that is busy has longer


class Soak:
    """Runs cycles until there were so many, or for so long, and takes samples meanwhile."""

    def __init__(
        self, supervised: Supervised, client: docker.DockerClient, *, duration: float, cycles: int
    ) -> None:
        self.done: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self._supervised, self._client = supervised, client
        self._duration, self._cycles = duration, cycles
        self._numbers = count()
        self._over = threading.Event()
        self._began = 0.0

    def run(self, *, sampled_every: float) -> None:
        """Return when it is over; nothing runs then."""
        self._began = time.monotonic()
        with ThreadPoolExecutor(_AT_ONCE + 1) as pool:
            sampling = pool.submit(self._sample, sampled_every)
            working = [pool.submit(self._work) for _ in range(_AT_ONCE)]
            try:
                for work in working:
                    work.result()
            finally:
                self._over.set()
            sampling.result()
        eventually(self._supervised.is_idle, within=_NOTICED)

    def _sample(self, every: float) -> None:
        assert self._supervised.process is not None
        while not self._over.wait(every):
            self.samples.append(
                sample(
                    self._supervised.process.pid,
                    seconds=time.monotonic() - self._began,
                    cycles=self.done.total(),
                    jobs=len(self._supervised.jobs()),
                )
            )

    def _work(self) -> None:
        kinds: dict[str, Callable[[str], None]] = {
            "exit": self._exit,
            "kill": self._kill,
            "crash": self._crash,
            "launch twice": self._launch_twice,
        }
        while not self._over.is_set() and (number := next(self._numbers)) < self._cycles:
            if time.monotonic() - self._began > self._duration:
                return
            kind = list(kinds)[number % len(kinds)]
            kinds[kind](f"soak-{number}")
            self.done[kind] += 1

    def _exit(self, identifier: str) -> None:
        self._launch("webhook", identifier, {"exit": 0})
        self._wait_for_its_end(identifier)

    def _kill(self, identifier: str) -> None:
        self._launch("timer", identifier)
        assert Response() == self._supervised.kill(identifier)

    def _crash(self, identifier: str) -> None:
        self._launch("timer", identifier)
        containers.one(self._client, identifier).kill()
        self._wait_for_its_end(identifier)

    def _launch_twice(self, identifier: str) -> None:
        self._launch("timer", identifier)
        self._launch("timer", identifier)
        assert Response() == self._supervised.kill(identifier)

    def _launch(self, name: str, identifier: str, params: dict[str, int] | None = None) -> None:
        assert Response() == self._supervised.launch(name, identifier, params)

    def _wait_for_its_end(self, identifier: str) -> None:
        eventually(lambda: identifier not in self._supervised.running(), within=_NOTICED)
