"""What a supervisor can be asked for, well and badly, so that every metric has something to tell.

The catalogue is the tests' own.
"""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest

from service._generated.supervisor.v1.observer_pb2 import WatchJobsRequest
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub
from tests.support.supervised import Supervised

_STREAMS = 900  # fewer than a connection may have


class Load:
    """Requests, each the root of a trace of its own."""

    def __init__(self, supervised: Supervised) -> None:
        self._supervised = supervised
        self._count = 0
        self.traces: set[str] = set()

    def launch(self, name: str, params: Mapping[str, Any] | None = None, who: str = "") -> str:
        """Launch a job; its identifier."""
        self._count += 1
        identifier = who or f"{name}-{self._count}"
        trace = secrets.token_hex(16)
        self.traces.add(trace)
        metadata = (("traceparent", f"00-{trace}-{secrets.token_hex(8)}-01"),)
        self._supervised.launch(name, identifier, params, metadata=metadata)
        return identifier

    def kill(self, identifier: str) -> None:
        """Kill a job."""
        self._supervised.kill(identifier)

    def launch_and_kill(self) -> None:
        """Jobs that run, are found running, and are killed: one of them by force."""
        names = [self.launch("timer"), self.launch("weather"), self.launch("weather")]
        names.append(self.launch("timer", {"stubborn": 1}))
        for name in names[:2]:
            self.launch(name.partition("-")[0], who=name)
        for name in (*names, "nobody"):
            self.kill(name)

    def launch_what_ends(self) -> None:
        """Jobs that end by themselves, in every way."""
        self.launch("mail", {"exit": 0})
        self.launch("webhook", {"exit": 0})
        self.launch("timer", {"exit": 0})
        self.launch("weather", {"exit": 134})
        self.launch("mail", {"exit": 3})
        self.launch("small", {"after": 1, "eat": 1})

    def watch_health(self) -> None:
        """So many streams at once that Python looks for garbage, which is seldom."""
        watch = self._supervised.health_stub.Watch  # type: ignore[attr-defined]
        streams = [watch(HealthCheckRequest(), timeout=60) for _ in range(_STREAMS)]
        for stream in streams:
            next(stream)
        for stream in streams:
            stream.cancel()

    def watch_jobs(self) -> None:
        """A watch that stays open."""
        observer = JobObserverStub(self._supervised.channel)
        self._watch = observer.WatchJobs(WatchJobsRequest())
        next(self._watch)

    def fail(self) -> None:
        """Requests that cannot be carried out."""
        for name, who in (("unknown", "u"), ("timer", " "), ("missing", "m")):
            self.launch(name, who=who)
        with suppress(grpc.RpcError):
            self._supervised.health("unknown")
