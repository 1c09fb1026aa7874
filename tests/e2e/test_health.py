"""Health over gRPC and HTTP, reflection, and what our own probe makes of it."""

import json
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.reflection import ReflectingClient
from tests.support.supervised import Supervised, eventually, free_port, run_command

_SERVICE = "area_supervisor.AreaSupervisorService"
_SERVICES = [
    _SERVICE,
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "supervisor.v1.JobObserver",
]


class _Watch:
    """One open Watch, with what it has sent so far."""

    def __init__(self, supervised: Supervised, service: str) -> None:
        watch = supervised.health_stub.Watch  # type: ignore[attr-defined]
        self._call = watch(HealthCheckRequest(service=service), timeout=100)
        self._sent: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def next(self, within: float = 20.0) -> str:
        """The next status in a word; the gRPC status if the stream has ended."""
        return self._sent.get(timeout=within)

    def sent(self) -> list[str]:
        """Everything that has come and was not asked for yet."""
        return [self._sent.get_nowait() for _ in range(self._sent.qsize())]

    def close(self) -> None:
        """Hang up."""
        self._call.cancel()
        self._thread.join()

    def _read(self) -> None:
        try:
            for answer in self._call:
                self._sent.put(HealthCheckResponse.ServingStatus.Name(answer.status))
        except grpc.RpcError:
            pass  # its code follows
        self._sent.put(self._call.code().name)


@contextmanager
def _watching(supervised: Supervised, service: str) -> Iterator[_Watch]:
    watch = _Watch(supervised, service)
    try:
        yield watch
    finally:
        watch.close()


@pytest.fixture
def mortal(engine: PrivateEngine, shared: Supervised) -> Iterator[PrivateEngine]:
    """The Engine, which runs again when the test is over, before `shared` cleans up."""
    assert shared.process is not None
    yield engine
    engine.start()


@pytest.fixture
def waiting(start: Start, tmp_path: Path) -> Supervised:
    """A supervisor whose Engine is not there (yet)."""
    supervised = start(ready=False, DOCKER_HOST=f"unix://{tmp_path}/docker.sock")

    def answers() -> bool:
        try:
            return "SERVING" == supervised.health("liveness")
        except grpc.RpcError:
            return False

    eventually(answers, within=30)
    return supervised


# ---------------------------------------------------------------- Check


@pytest.mark.parametrize("service", ["", _SERVICE, "liveness"])
def test_check_of_what_is_there(shared: Supervised, service: str) -> None:
    assert "SERVING" == shared.health(service)


@pytest.mark.parametrize("service", ["unknown", "area_supervisor", _SERVICE.lower(), "Liveness"])
def test_check_of_what_is_not_there(shared: Supervised, service: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        shared.health(service)
    assert grpc.StatusCode.NOT_FOUND == raised.value.code()
    assert service in (raised.value.details() or "")


def test_http_when_all_is_well(shared: Supervised) -> None:
    assert (200, "ready\n") == shared.http("/readyz")
    assert (200, "alive\n") == shared.http("/livez")
    status, text = shared.http("/nowhere")
    assert 404 == status
    assert "/readyz" in text


# ---------------------------------------------------------------- Watch


def test_watch_of_what_is_not_there_says_so_and_stays_open(shared: Supervised) -> None:
    with _watching(shared, "unknown") as watch, _watching(shared, "") as other:
        assert "SERVICE_UNKNOWN" == watch.next()
        assert "SERVING" == other.next()
        with pytest.raises(queue.Empty):
            watch.next(within=0.5)


def test_watch_sends_the_current_status_and_each_change(
    shared: Supervised, mortal: PrivateEngine
) -> None:
    with (
        _watching(shared, "") as everything,
        _watching(shared, _SERVICE) as ours,
        _watching(shared, "liveness") as alive,
        _watching(shared, "unknown") as unknown,
    ):
        assert ["SERVING"] * 3 == [watch.next() for watch in (everything, ours, alive)]
        assert "SERVICE_UNKNOWN" == unknown.next()
        mortal.kill()
        assert ["NOT_SERVING"] * 2 == [everything.next(), ours.next()]
        assert "NOT_SERVING" == shared.health()
        assert "SERVING" == shared.health("liveness")
        status, reason = shared.http("/readyz")
        assert 503 == status
        assert "Docker Engine" in reason
        assert (200, "alive\n") == shared.http("/livez")
        mortal.start()
        assert ["SERVING"] * 2 == [everything.next(), ours.next()]
        assert (200, "ready\n") == shared.http("/readyz")
        # Nothing twice, and nothing where nothing has changed.
        assert [[]] * 4 == [watch.sent() for watch in (everything, ours, alive, unknown)]


def test_an_open_watch_gets_the_end_and_does_not_hold_it_up(waiting: Supervised) -> None:
    with (
        _watching(waiting, "") as everything,
        _watching(waiting, "liveness") as alive,
        _watching(waiting, "unknown") as unknown,
    ):
        assert ["NOT_SERVING", "SERVING"] == [everything.next(), alive.next()]
        assert "SERVICE_UNKNOWN" == unknown.next()
        began = time.monotonic()
        assert 0 == waiting.stop(within=15)
        assert time.monotonic() - began < 8  # the grace for calls under way is 10
        assert ["OK"] * 3 == [watch.next() for watch in (everything, alive, unknown)]


def test_watch_says_not_serving_when_the_process_stops(start: Start) -> None:
    supervised = start(SUPERVISOR_INSTANCE="watched")  # beside the module's own
    with _watching(supervised, "") as everything, _watching(supervised, _SERVICE) as ours:
        assert ["SERVING"] * 2 == [everything.next(), ours.next()]
        assert 0 == supervised.stop(within=15)
        for watch in (everything, ours):
            assert ["NOT_SERVING", "OK"] == [watch.next(), watch.next()]


# ---------------------------------------------------------------- before readiness


def test_before_readiness(waiting: Supervised) -> None:
    assert "NOT_SERVING" == waiting.health()
    assert "NOT_SERVING" == waiting.health(_SERVICE)
    assert "SERVING" == waiting.health("liveness")
    eventually(lambda: "not answered yet" not in waiting.http("/readyz")[1])
    status, reason = waiting.http("/readyz")
    assert 503 == status
    assert "Docker Engine" in reason
    assert (200, "alive\n") == waiting.http("/livez")
    assert 200 == waiting.http("/metrics")[0]


def test_readiness_comes_with_the_engine(
    waiting: Supervised, engine: PrivateEngine, tmp_path: Path
) -> None:
    with _watching(waiting, "") as everything, _watching(waiting, _SERVICE) as ours:
        assert ["NOT_SERVING"] * 2 == [everything.next(), ours.next()]
        (tmp_path / "docker.sock").symlink_to(engine.socket)
        assert ["SERVING"] * 2 == [everything.next(), ours.next()]
    assert "SERVING" == waiting.health() == waiting.health(_SERVICE)
    assert (200, "ready\n") == waiting.http("/readyz")


# ---------------------------------------------------------------- reflection

# What the contract says of each message.
_FIELDS = {
    "AuthenticatedJobData": [
        "string name = 1",
        "string identifier = 2",
        "google.protobuf.Struct params = 3",
        "google.protobuf.Struct auth = 4",
    ],
    "JobData": ["string name = 1", "string identifier = 2", "google.protobuf.Struct params = 3"],
    "Response": ["Error error = 1"],
    "Error": ["int32 code = 1", "string message = 2"],
    "area_supervisor.JobId": ["string identifier = 1"],
    "area_supervisor.Job": ["string name = 1", "string identifier = 2", "string status = 3"],
    "area_supervisor.JobList": ["repeated area_supervisor.Job jobs = 1"],
    "google.protobuf.Empty": [],
    "google.protobuf.Struct": ["repeated google.protobuf.Struct.FieldsEntry fields = 1"],
    "grpc.health.v1.HealthCheckRequest": ["string service = 1"],
}


@pytest.fixture(params=["v1", "v1alpha"])
def reflecting(shared: Supervised, request: pytest.FixtureRequest) -> ReflectingClient:
    """A client that knows the supervisor by its reflection alone, of either version."""
    return ReflectingClient(shared.channel, request.param)


def test_reflection_lists_every_service(reflecting: ReflectingClient) -> None:
    assert _SERVICES == reflecting.services()


def test_reflection_describes_the_service(reflecting: ReflectingClient) -> None:
    assert [
        "KillAllJobs(google.protobuf.Empty) returns Response",
        "KillJob(area_supervisor.JobId) returns Response",
        "LaunchJob(AuthenticatedJobData) returns Response",
        "ListJobs(google.protobuf.Empty) returns area_supervisor.JobList",
    ] == reflecting.methods(_SERVICE)


@pytest.mark.parametrize("message", _FIELDS)
def test_reflection_describes_the_contract(reflecting: ReflectingClient, message: str) -> None:
    assert _FIELDS[message] == reflecting.fields(message)


@pytest.mark.parametrize("service", _SERVICES)
def test_reflection_describes_every_service(reflecting: ReflectingClient, service: str) -> None:
    assert reflecting.methods(service)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_describes_itself(reflecting: ReflectingClient, version: str) -> None:
    package = f"grpc.reflection.{version}"
    asked, answered = f"{package}.ServerReflectionRequest", f"{package}.ServerReflectionResponse"
    methods = [f"ServerReflectionInfo({asked}) returns {answered}"]
    assert methods == reflecting.methods(f"{package}.ServerReflection")
    assert f"{package}.ErrorResponse error_response = 7" in reflecting.fields(answered)


def test_health_can_be_asked_by_reflection(reflecting: ReflectingClient) -> None:
    for service in ("", _SERVICE, "liveness"):
        request = json.dumps({"service": service})
        assert {"status": "SERVING"} == reflecting.call("grpc.health.v1.Health/Check", request)
    with pytest.raises(grpc.RpcError) as raised:
        reflecting.call("grpc.health.v1.Health/Check", json.dumps({"service": "unknown"}))
    assert grpc.StatusCode.NOT_FOUND == raised.value.code()


def test_jobs_are_launched_listed_and_killed_by_reflection(
    shared: Supervised, reflecting: ReflectingClient, docker_client: docker.DockerClient
) -> None:
    request = json.dumps({"name": "timer", "identifier": "curl", "params": {"seconds": 5}})
    assert {} == reflecting.call(f"{_SERVICE}/LaunchJob", request)
    assert "--seconds" in containers.arguments(containers.one(docker_client, "curl"))
    job = {"name": "timer", "identifier": "curl", "status": "running"}
    assert {"jobs": [job]} == reflecting.call(f"{_SERVICE}/ListJobs")
    assert {} == reflecting.call(f"{_SERVICE}/KillJob", '{"identifier": "curl"}')
    assert [] == shared.jobs()


def test_health_answers_beside_launches(shared: Supervised) -> None:
    assert Response() == shared.launch("timer", "t-1")
    assert "SERVING" == shared.health()


# ---------------------------------------------------------------- area-supervisor health


def _probe(directory: Path, port: int, *arguments: str) -> tuple[int, str]:
    done = run_command(directory, {"GRPC_SERVER_PORT": str(port)}, "health", *arguments)
    return done.returncode, done.stdout.strip()


def test_the_probe_of_a_supervisor_that_is_ready(shared: Supervised, tmp_path: Path) -> None:
    assert (0, "SERVING") == _probe(tmp_path, shared.port)
    assert (0, "SERVING") == _probe(tmp_path, shared.port, "--service", "")
    assert (0, "SERVING") == _probe(tmp_path, shared.port, "--service", _SERVICE)
    code, told = _probe(tmp_path, shared.port, "--service", "unknown")
    assert 1 == code
    assert "NOT_FOUND" in told


def test_the_probe_of_a_supervisor_that_is_not_ready(waiting: Supervised, tmp_path: Path) -> None:
    assert (0, "SERVING") == _probe(tmp_path, waiting.port)
    assert (0, "SERVING") == _probe(tmp_path, waiting.port, "--service", "liveness")
    assert (1, "NOT_SERVING") == _probe(tmp_path, waiting.port, "--service", "")
    assert (1, "NOT_SERVING") == _probe(tmp_path, waiting.port, "--service", _SERVICE)


def test_the_probe_where_nobody_listens(tmp_path: Path) -> None:
    port = free_port()
    assert (1, f"127.0.0.1:{port}: UNAVAILABLE") == _probe(tmp_path, port)


def test_the_probe_of_what_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        code, told = _probe(tmp_path, port)
    assert 1 == code
    assert f"127.0.0.1:{port}" in told
    assert 1 == len(told.splitlines())
