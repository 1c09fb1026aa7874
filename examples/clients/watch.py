"""Follows the jobs of a supervisor, for Python, to copy. docs/observer.md has the reasons.

    python -m examples.clients.watch localhost:50051

The stubs are those of this checkout. Your own come from `python -m grpc_tools.protoc -I proto
--python_out=. --grpc_python_out=. proto/supervisor/v1/observer.proto`.
"""

import sys
import time
from collections.abc import Iterator, Sequence

import grpc

from service._generated.supervisor.v1.observer_pb2 import Job, WatchJobsRequest, WatchJobsResponse
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub

# A connection to a supervisor that has vanished is noticed after half a minute.
_OPTIONS = [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000)]
# The supervisor restarts, or this client was too slow, or something on the way has hung up.
_COME_BACK = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}
_PAUSE = 1.0  # seconds


class Follower:
    """The live jobs by launch id, as far as they have been told. Keep it as long as you watch."""

    def __init__(self) -> None:
        self.live: dict[str, Job] = {}
        self.token = ""
        self.gaps = 0
        self._snapshot: dict[str, Job] = {}  # as much of it as has come

    def take(self, message: WatchJobsResponse) -> Sequence[Job]:
        """Note a message. Returns its changes, in their order."""
        if message.kind == "gap":
            self.gaps += 1
            self._snapshot = {}
        elif message.kind == "snapshot":
            self._snapshot |= {job.launch_id: job for job in message.jobs}
            if message.complete:
                self.live, self._snapshot = self._snapshot, {}
        else:
            self._change(message.jobs)
        self.token = message.resume_token
        return message.jobs if message.kind == "changes" else ()

    def _change(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.live[job.launch_id] = job
            if job.state == "gone":
                del self.live[job.launch_id]


def follow(stub: JobObserverStub, follower: Follower) -> Iterator[WatchJobsResponse]:
    """The messages of one watch after the other, for ever. Raises what does not go away."""
    while True:
        request = WatchJobsRequest(resume_token=follower.token)
        try:
            yield from stub.WatchJobs(request, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() not in _COME_BACK:
                raise
        time.sleep(_PAUSE)


def main() -> None:
    """Print what runs, and then every change."""
    address = sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"
    follower = Follower()
    with grpc.insecure_channel(address, _OPTIONS) as channel:
        for message in follow(JobObserverStub(channel), follower):
            changes = follower.take(message)
            if message.kind == "gap":
                print("some changes are missing", flush=True)
            if message.complete:
                print(f"{len(follower.live)} live", flush=True)
            for job in changes:
                print(f"{job.identifier}: {job.outcome or job.state}", flush=True)


if __name__ == "__main__":
    main()
