"""The API to observe, on a real Engine: GetJob and ListJobs."""

import time
from collections.abc import Callable
from typing import Any

import docker
import grpc
import pytest

from scripts import engines
from service._generated.area_types_pb2 import Response
from service._generated.supervisor.v1.observer_pb2 import (
    GetJobRequest,
    Job,
    ListJobsRequest,
    ListJobsResponse,
    ListNamesRequest,
)
from tests.support import containers, worker
from tests.support.reflection import ReflectingClient
from tests.support.supervised import Supervised, eventually

_SERVICE = "supervisor.v1.JobObserver"
_TRACE = "0af76519" * 4


def get(supervised: Supervised, **which: str) -> Job:
    return supervised.observer.GetJob(GetJobRequest(**which), timeout=10)


def listed(supervised: Supervised, **fields: Any) -> ListJobsResponse:
    return supervised.observer.ListJobs(ListJobsRequest(**fields), timeout=10)


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details() or ""


def test_a_live_job_tells_all_that_is_known_of_it(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    began = time.time()
    trace = (("traceparent", f"00-{_TRACE}-b7ad6b7169203331-01"),)
    assert Response() == shared.launch("timer", "é/世界 1", metadata=trace)
    job = get(shared, identifier="é/世界 1")
    assert ("timer", "é/世界 1", "action", "running") == (
        job.name,
        job.identifier,
        job.kind,
        job.state,
    )
    (container,) = containers.of_ours(docker_client)
    labels = container.labels
    assert job.launch_id == labels["area.supervisor.launch-id"]
    assert abs(job.created.ToMicroseconds() / 1e6 - began) < 30
    assert job.created.ToMicroseconds() <= job.started.ToMicroseconds()
    assert f"{job.created.ToMicroseconds() / 1e6:.3f}" == labels["area.supervisor.created"]
    assert _TRACE == job.trace_id
    assert job.launched_by.peer.startswith("127.0.0.1:")
    assert job.launched_by.user_agent.startswith("grpc-python/")
    assert not job.HasField("exit_code")
    assert not job.HasField("ended")
    on_swarm = engines.chosen() == engines.SWARM
    assert (docker_client.info()["Name"] if on_swarm else "") == job.node
    assert job == get(shared, launch_id=job.launch_id)


def test_the_container_and_its_image_are_told_as_the_engine_has_them(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1")
    job = get(shared, identifier="t-1")
    (container,) = containers.of_ours(docker_client)
    assert (container.id, container.name) == (job.container_id, job.container_name)
    assert worker.IMAGE == job.image
    assert container.attrs["Image"].removeprefix("sha256:") in job.image_digest


def test_jobs_are_listed_by_filters_and_in_pages(shared: Supervised) -> None:
    for identifier in ("t-1", "t-2", "u-1"):
        assert Response() == shared.launch("timer", identifier)
    assert Response() == shared.launch("mail", "t-3")
    assert ["t-1", "t-2"] == identifiers(listed(shared, name="ti*", identifier_prefix="t-"))
    assert ["t-1", "t-2", "u-1", "t-3"] == identifiers(listed(shared, state="running"))
    assert [] == identifiers(listed(shared, state="paused"))
    page = listed(shared, page_size=2)
    assert ["t-1", "t-2"] == identifiers(page)
    assert Response() == shared.kill("t-2")
    assert Response() == shared.launch("timer", "u-2")
    rest = listed(shared, page_size=1000, page_token=page.next_page_token)
    assert ["u-1", "t-3", "u-2"] == identifiers(rest)
    assert "" == rest.next_page_token


def test_a_job_that_has_ended_tells_why_and_what_it_said_last(shared: Supervised) -> None:
    said = {"say": "the token is hunter2-hunter2", "exit": 3}
    assert Response() == shared.launch("timer", "e-1", said, {"token": "hunter2-hunter2"})
    job = once_it_is(shared, "gone", "e-1")
    assert ("error", 3, False) == (job.outcome, job.exit_code, job.out_of_memory)
    assert "the token is [redacted]" == job.last_lines.splitlines()[-1]
    assert "hunter2" not in str(job)
    created, started, ended = (
        each.ToMicroseconds() / 1e6 for each in (job.created, job.started, job.ended)
    )
    assert created <= started
    assert started - 2 <= ended  # the Engine may tell an instant exit before the start
    assert job == get(shared, launch_id=job.launch_id)
    assert [job] == list(listed(shared, include="ended", outcome="error", page_size=1).jobs)


def test_a_job_that_was_killed_tells_who_has_killed_it(shared: Supervised) -> None:
    assert Response() == shared.launch("timer", "k-1")
    assert Response() == shared.kill("k-1")
    job = get(shared, identifier="k-1")
    assert ("gone", "killed", "") == (job.state, job.outcome, job.last_lines)
    assert job.killed_by.peer == job.launched_by.peer
    assert "k-1" == listed(shared, include="both").jobs[0].identifier


def test_a_job_without_memory_says_so(shared: Supervised) -> None:
    assert Response() == shared.launch("small", "s-1", {"after": 1, "eat": 1})
    job = once_it_is(shared, "gone", "s-1")
    assert ("oom", 137, True) == (job.outcome, job.exit_code, job.out_of_memory)


def test_a_job_that_backs_off_tells_how_its_last_run_has_ended(shared: Supervised) -> None:
    assert Response() == shared.launch("later", "l-1", {"say": "that was it", "exit": 3})
    job = once_it_is(shared, "backing_off", "l-1")
    assert ("backing_off", 3, 1, False) == (
        job.state,
        job.exit_code,
        job.restarts,
        job.out_of_memory,
    )
    assert job.last_lines.endswith("that was it")
    assert job.restart_at.ToSeconds() > time.time()


def test_credentials_are_in_no_answer(shared: Supervised) -> None:
    said = {"say": "the token is hunter2-hunter2", "exit": 3}
    assert Response() == shared.launch("later", "l-1", said, {"token": "hunter2-hunter2"})
    job = once_it_is(shared, "backing_off", "l-1")
    assert "the token is [redacted]" in job.last_lines
    assert "hunter2" not in str(job)


def test_what_is_not_there_is_not_found_and_what_is_wrong_is_named(shared: Supervised) -> None:
    assert "NOT_FOUND" == refusal(lambda: get(shared, identifier="nobody"))[0]
    assert ("INVALID_ARGUMENT", "launch_id, identifier: are empty; one of them is required") == (
        refusal(lambda: get(shared))
    )
    status, text = refusal(lambda: listed(shared, outcome="fine"))
    assert ("INVALID_ARGUMENT", True) == (status, text.startswith("outcome: 'fine' is none of"))


def test_whoever_knows_no_proto_file_can_ask_as_well(shared: Supervised) -> None:
    assert Response() == shared.launch("timer", "t-1")
    client = ReflectingClient(shared.channel)
    job = client.call(f"{_SERVICE}/GetJob", '{"identifier": "t-1"}')
    assert ("timer", "running") == (job["name"], job["state"])
    assert [job] == client.call(f"{_SERVICE}/ListJobs", '{"include": "live"}')["jobs"]


def test_its_calls_are_counted_and_its_health_follows_readiness(shared: Supervised) -> None:
    name = f"{_SERVICE}/ListJobs"
    before = shared.metric("grpc_server_call_started_total", grpc_method=name)
    listed(shared)
    assert 1 == shared.metric("grpc_server_call_started_total", grpc_method=name) - before
    assert "SERVING" == shared.health(_SERVICE)


def identifiers(page: ListJobsResponse) -> list[str]:
    return [job.identifier for job in page.jobs]


def once_it_is(supervised: Supervised, state: str, identifier: str) -> Job:
    def told() -> Job | None:
        job = get(supervised, identifier=identifier)
        return job if job.state == state else None

    job = eventually(told)
    assert job is not None
    return job


def test_the_names_are_those_of_the_catalogue(shared: Supervised) -> None:
    every = shared.observer.ListNames(ListNamesRequest(), timeout=10).names
    assert {"timer", "mail", "missing", "nothing"} <= set(every)
    assert ["weather", "webhook"] == shared.observer.ListNames(
        ListNamesRequest(prefix="we"), timeout=10
    ).names
