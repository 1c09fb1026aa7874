"""StreamLogs and Stats, on a real Engine: of jobs that run, end and are started again."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
import grpc
import pytest
from docker.models.containers import Container

from service._generated.area_types_pb2 import Response
from service._generated.supervisor.v1.observer_pb2 import (
    LogLine,
    StatsRequest,
    StreamLogsRequest,
)
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub
from service.engine.docker.calls import BULK_THREADS
from tests.conftest import Start
from tests.support import containers
from tests.support.supervised import Supervised, eventually

pytestmark = pytest.mark.timeout(240)

_PEM = "-----BEGIN KEY-----\nab\nMIIEvQIBADANBgkqh\nCA\n-----END KEY-----\n"
_AUTH = {"token": "plain-token-31337", "key": _PEM}
_OK = grpc.StatusCode.OK, ""
_FOLLOWERS = 50
_MEGABYTE = 2**20


class Stream:
    """A stream that a thread reads."""

    def __init__(self, supervised: Supervised, identifier: str, **wanted: Any) -> None:
        request = StreamLogsRequest(identifier=identifier, **wanted)
        self.call: Any = JobObserverStub(supervised.channel).StreamLogs(request, timeout=120)
        self.lines: list[LogLine] = []
        self.status: grpc.StatusCode | None = None
        self.details: str | None = ""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            for message in self.call:
                self.lines += message.lines
            self.status = grpc.StatusCode.OK
        except grpc.RpcError as error:
            self.status, self.details = error.code(), error.details()

    @property
    def texts(self) -> Sequence[str]:
        return [line.text for line in self.lines]

    def has(self, text: str) -> bool:
        return text in self.texts

    def ended(self, within: float = 20.0) -> tuple[grpc.StatusCode | None, str | None]:
        self.thread.join(within)
        return self.status, self.details


def say(container: Container, script: str) -> None:
    """Have a worker print something more; `script` prints it for the worker."""
    command = ["/bin/busybox", "sh", "-c", f"({script}) >/proc/1/fd/1 2>/proc/1/fd/2"]
    code, output = container.exec_run(command)
    assert 0 == code, output


def test_a_follower_sees_what_a_job_prints_without_its_secrets_until_it_ends(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1", {"say": "hello"}, _AUTH)
    stream = Stream(shared, "t-1", follow=True, timestamps=True)
    eventually(lambda: stream.has("hello"))
    container = containers.one(docker_client, "t-1")
    say(container, f"printf '%s' '{_PEM}'; echo oh plain-token-31337 >&2; echo done")
    eventually(lambda: stream.has("done"))
    (error,) = (line.text for line in stream.lines if line.stream == "stderr")
    assert "oh [redacted]" == error
    printed = "\n".join(stream.texts)
    assert not [
        piece for piece in ("plain-token", "BEGIN", "ab\n", "MIIE", "CA\n") if piece in printed
    ]
    assert stream.has("argument: --identifier")
    assert all(abs(line.time.seconds - time.time()) < 60 for line in stream.lines)
    assert Response() == shared.kill("t-1")
    assert _OK == stream.ended()


def test_a_follower_sees_each_run_of_a_job(shared: Supervised) -> None:
    assert Response() == shared.launch("again", "a-1", {"after": "0.5", "exit": "3", "say": "me"})
    stream = Stream(shared, "a-1", follow=True)
    eventually(lambda: Counter(stream.texts)["me"] > 2, within=60)
    assert Response() == shared.kill("a-1")
    assert _OK == stream.ended()
    numbers = Counter(text for text in stream.texts if text.startswith("argument: --"))
    assert len(set(numbers.values())) == 1, numbers


def test_of_a_job_that_has_ended_the_last_lines_are_left(shared: Supervised) -> None:
    for identifier, code in (("failed", "3"), ("done", "0")):
        assert Response() == shared.launch("webhook", identifier, {"exit": code, "say": "bye"})
    eventually(shared.is_idle)
    stream = Stream(shared, "failed", follow=True, tail=2, timestamps=True)
    assert _OK == stream.ended()
    assert ["", "bye"] == [stream.lines[-1].stream, stream.texts[-1]]
    assert 2 == len(stream.lines)
    assert not stream.lines[-1].HasField("time")
    status, told = Stream(shared, "done").ended()
    assert grpc.StatusCode.FAILED_PRECONDITION is status
    assert "its output is gone with its container" in str(told)


def test_what_cannot_be_asked_for_is_told(shared: Supervised) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(JobObserverStub(shared.channel).StreamLogs(StreamLogsRequest(identifier="unknown")))
    assert grpc.StatusCode.NOT_FOUND is caught.value.code()
    with pytest.raises(grpc.RpcError) as caught:
        list(JobObserverStub(shared.channel).StreamLogs(StreamLogsRequest(identifier="t", tail=-1)))
    assert "tail: is -1; allowed are 0 to 100000" in str(caught.value.details())


def test_the_last_lines_are_exact_though_each_is_long(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1", {}, _AUTH)
    line = "BEGIN { while (++i <= 40000) printf n; print }"
    each = f"for n in 1 2 3 4; do /bin/busybox awk -v n=$n '{line}'; done"
    say(containers.one(docker_client, "t-1"), each)
    lines = Stream(shared, "t-1", tail=2)
    lines.thread.join()
    assert "3" * 40_000 + "4" * 40_000 == "".join(lines.texts)


def test_a_client_that_reads_slowly_costs_no_memory_and_gets_all(
    start: Start, catalog: Path, docker_client: docker.DockerClient
) -> None:
    number = 100_000  # lines, of 10 MB
    # By default, Podman keeps 10 MB.
    roomy = '[defaults]\nlog = { options = { max-size = "50m" } }\n'
    catalog.write_text(roomy + catalog.read_text())
    supervised = start(SUPERVISOR_INSTANCE="roomy")
    assert Response() == supervised.launch("timer", "t-1", {}, _AUTH)
    container = containers.one(docker_client, "t-1")
    text = "x" * 94
    count = f'BEGIN {{ while (++i <= {number}) printf "%06d{text}\\n", i }}'
    say(container, f"/bin/busybox awk '{count}'")
    say(container, "echo end")
    before = memory(supervised)
    stream: Any = JobObserverStub(supervised.channel).StreamLogs(
        StreamLogsRequest(identifier="t-1", follow=True), timeout=120
    )
    messages = iter(stream)
    lines = [*next(messages).lines]
    highest = max(_memory_for_a_while(supervised))
    assert highest - before < 8 * _MEGABYTE
    for message in messages:
        lines += message.lines
        if lines[-1].text == "end":
            break
    stream.cancel()
    printed = [line.text for line in lines if text in line.text]
    assert [f"{each + 1:06}{text}" for each in range(number)] == printed


def _memory_for_a_while(supervised: Supervised) -> Iterator[int]:
    for _ in range(8):
        time.sleep(0.25)
        yield memory(supervised)


def memory(supervised: Supervised) -> int:
    """What its process has of it (bytes)."""
    status = Path(f"/proc/{supervised.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def test_followers_have_no_threads_and_leave_no_connections(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1", {"say": "hello"})
    threads, connections = len(_tasks(shared)), _connections(shared)
    streams = [Stream(shared, "t-1", follow=True) for _ in range(_FOLLOWERS)]
    eventually(lambda: all(stream.has("hello") for stream in streams), within=30)
    assert len(_tasks(shared)) - threads <= BULK_THREADS  # their inspections take turns in those
    assert _connections(shared) >= connections + _FOLLOWERS
    began = time.monotonic()
    assert Response() == shared.launch("timer", "t-2")
    assert time.monotonic() - began < 5
    say(containers.one(docker_client, "t-1"), "echo more")
    eventually(lambda: all(stream.has("more") for stream in streams))
    most = _connections(shared)  # with those that the launch has opened
    for stream in streams:
        stream.call.cancel()
    eventually(lambda: _connections(shared) <= most - _FOLLOWERS)


def _tasks(supervised: Supervised) -> Sequence[Path]:
    return list(Path(f"/proc/{supervised.pid}/task").iterdir())


def _connections(supervised: Supervised) -> int:
    found = 0
    for each in Path(f"/proc/{supervised.pid}/fd").iterdir():
        try:
            found += str(each.readlink()).startswith("socket:")
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


def test_stats_tell_what_jobs_use(shared: Supervised) -> None:
    assert Response() == shared.launch("timer", "t-1", {"say": "hello"})
    assert Response() == shared.launch("small", "s-1", {"say": "hello"})
    assert Response() == shared.launch("again", "a-1")
    observer = JobObserverStub(shared.channel)
    found = {each.identifier: each for each in observer.Stats(StatsRequest(), timeout=20).jobs}
    assert {"t-1", "s-1", "a-1"} == set(found)
    assert (0, 16 * _MEGABYTE) == (
        found["t-1"].memory_limit_bytes,
        found["s-1"].memory_limit_bytes,
    )
    for each in found.values():
        assert 0 < each.memory_bytes < 16 * _MEGABYTE
        assert 1 <= each.processes <= 5
        assert 0 <= each.cpu < 1
    one = StatsRequest(launch_ids=[found["t-1"].launch_id, "unknown"])
    assert ["t-1"] == [each.identifier for each in observer.Stats(one, timeout=20).jobs]
    assert shared.metric("supervisor_engine_operation_duration_seconds_count", operation="stats")


def test_stats_tell_who_works(shared: Supervised, docker_client: docker.DockerClient) -> None:
    assert Response() == shared.launch("timer", "t-1")
    busy = "/bin/busybox timeout 20 sh -c 'while :; do :; done'"
    container = containers.one(docker_client, "t-1")
    container.exec_run(["/bin/busybox", "sh", "-c", busy], detach=True)
    observer = JobObserverStub(shared.channel)

    def works() -> bool:
        (found,) = observer.Stats(StatsRequest(), timeout=20).jobs
        return bool(0.2 < found.cpu < 1.5)

    eventually(works, within=20)
