"""Streams of output, when what is between the job and the client goes away."""

import time

import docker
import grpc

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.e2e.test_output import Stream, say
from tests.support import containers
from tests.support.line import Line
from tests.support.supervised import eventually

_NUMBERS = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo n$i; /bin/busybox usleep 10000; done"


def test_a_follower_misses_no_line_while_the_engine_is_away_and_sees_none_twice(
    start: Start, line: Line, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=line.host)
    assert Response() == supervised.launch("timer", "t-1", {"say": "hello"})
    stream = Stream(supervised, "t-1", follow=True)
    eventually(lambda: stream.has("hello"))
    container = containers.one(docker_client, "t-1")
    script = ["/bin/busybox", "sh", "-c", f"({_NUMBERS}) >/proc/1/fd/1"]
    container.exec_run(script, detach=True)
    for count in (50, 100):
        eventually(lambda: stream.has(f"n{count}"))  # noqa: B023 - at once
        line.cut()
        time.sleep(0.3)
        line.mend()
    eventually(lambda: stream.has("n200"), within=30)
    numbers = [text for text in stream.texts if text.startswith("n")]
    assert [f"n{number + 1}" for number in range(200)] == numbers


def test_a_supervisor_that_stops_ends_the_streams_at_once(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1", {"say": "hello"})
    streams = [Stream(supervised, "t-1", follow=True) for _ in range(5)]
    eventually(lambda: all(stream.has("hello") for stream in streams))
    began = time.monotonic()
    assert 0 == supervised.stop()
    assert time.monotonic() - began < 5
    ends = {stream.ended() for stream in streams}
    assert {
        (grpc.StatusCode.UNAVAILABLE, "the supervisor is stopping, and has ended the stream")
    } == ends
    assert containers.everything(docker_client)


def test_a_container_that_a_third_party_removes_ends_its_stream(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1", {"say": "hello"})
    stream = Stream(supervised, "t-1", follow=True)
    eventually(lambda: stream.has("hello"))
    say(containers.one(docker_client, "t-1"), "echo last words")
    eventually(lambda: stream.has("last words"))  # Podman's followers may miss them otherwise
    containers.one(docker_client, "t-1").remove(force=True)
    assert (grpc.StatusCode.OK, "") == stream.ended()
