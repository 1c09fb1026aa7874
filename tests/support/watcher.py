"""A client that watches jobs beside a test, and is cut off and comes back as the test likes."""

import threading
from collections.abc import Sequence
from typing import Any, Self

import grpc

from examples.clients.watch import Follower
from service._generated.supervisor.v1.observer_pb2 import Job, WatchJobsRequest
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub

_PAUSE = 0.1


class Watcher:
    """Watches during the block. What it was told can be read at any time."""

    def __init__(self, port: int, **wanted: str) -> None:
        """`wanted` are fields of the request."""
        self.follower = Follower()
        self.wrong: list[str] = []  # what it was answered, but for what goes away
        self._told: list[Job] = []
        self._lock = threading.Lock()
        self._wanted = wanted
        self._stopped = threading.Event()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._call: Any = None
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)

    @property
    def live(self) -> dict[str, Job]:
        """The live jobs by launch id."""
        with self._lock:
            return dict(self.follower.live)

    @property
    def changes(self) -> Sequence[Job]:
        """Every change that it was told since the last gap."""
        with self._lock:
            return list(self._told)

    def states(self, identifier: str) -> list[str]:
        """What the jobs of an identifier have come to, in order."""
        return [job.state for job in self.changes if job.identifier == identifier]

    def cut_off(self) -> None:
        """End its call. It comes back by itself."""
        if self._call is not None:
            self._call.cancel()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._channel.close()
        self._thread.join()

    def _watch(self) -> None:
        stub = JobObserverStub(self._channel)
        while not self._stopped.is_set():
            try:
                self._read(stub)
            except grpc.RpcError as error:
                if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL):
                    self.wrong.append(f"{error.code()}: {error.details()}")
            except ValueError:  # the channel is closed
                return
            self._stopped.wait(_PAUSE)

    def _read(self, stub: JobObserverStub) -> None:
        request = WatchJobsRequest(resume_token=self.follower.token, **self._wanted)
        self._call = stub.WatchJobs(request)
        for message in self._call:
            with self._lock:
                if message.kind == "gap":
                    self._told.clear()
                self._told += self.follower.take(message)
