"""Clients that watch the supervisor's jobs, and are cut off in the midst of it all."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import cycle
from typing import Self

import grpc

from service._generated.supervisor.v1.observer_pb2 import GetJobRequest, Job, ListJobsRequest
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub
from tests.support.supervised import Supervised
from tests.support.watcher import Watcher

_FILTERS: Sequence[Mapping[str, str]] = ({}, {"name": "*e*"}, {"identifier_prefix": "r-"})
_SECONDS = 5.0


class Watches:
    """Watch during the block: one for everything, and others for some jobs."""

    def __init__(self, supervised: Supervised) -> None:
        self._stub = JobObserverStub(supervised.channel)
        self._watchers = [Watcher(supervised.port, **wanted) for wanted in _FILTERS]
        self._turn = cycle(self._watchers)
        self._stack = ExitStack()
        self._in_history: set[str] = set()  # the launches whose ends are known to be there

    def cut_off_one(self) -> None:
        """End the call of one of them, each in turn."""
        next(self._turn).cut_off()

    def differences(self) -> Iterator[str]:
        """What they know otherwise than ListJobs and the history. Raises `grpc.RpcError`."""
        for watcher, wanted in zip(self._watchers, _FILTERS, strict=True):
            name, prefix = wanted.get("name", ""), wanted.get("identifier_prefix", "")
            request = ListJobsRequest(name=name, identifier_prefix=prefix, page_size=1000)
            listed = {each.launch_id: each for each in self._listed(request)}
            if listed != (live := watcher.live):
                yield f"{wanted}: {_shown(live)}, and there is {_shown(listed)}"
            for end in watcher.changes:
                # A launch that has failed, and a job that another supervisor has closed, have none.
                if end.outcome and end.launch_id not in self._in_history:
                    yield from self._compare(end)
            yield from watcher.wrong

    def _listed(self, request: ListJobsRequest) -> Iterator[Job]:
        answer = self._stub.ListJobs(request, timeout=_SECONDS)
        assert not answer.next_page_token
        yield from answer.jobs

    def _compare(self, end: Job) -> Iterator[str]:
        try:
            kept = self._stub.GetJob(GetJobRequest(launch_id=end.launch_id), timeout=_SECONDS)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            yield f"the history does not have {end}"
            return
        if kept == end:
            self._in_history.add(end.launch_id)
        else:
            yield f"the history has {kept} for {end}"

    def __enter__(self) -> Self:
        for watcher in self._watchers:
            self._stack.enter_context(watcher)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _shown(jobs: dict[str, Job]) -> list[tuple[str, str, str]]:
    return sorted((job.identifier, job.launch_id, job.state) for job in jobs.values())
