"""The stop: what a Watch sees, what becomes of requests under way, and that jobs run on."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import docker
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.collector import collecting
from tests.support.stubborn import stopping
from tests.support.supervised import Supervised, eventually

# Promised.
_STOP_SECONDS = 15.0
# What a stop may take that has nothing to wait for; calls under way would get ten seconds.
_PROMPT_SECONDS = 7.0

_SERVICE = "area_supervisor.AreaSupervisorService"


class Watch:
    """A client that watches the health of a service, and notes what it is told."""

    def __init__(self, supervised: Supervised, service: str) -> None:
        watch = supervised.health_stub.Watch  # type: ignore[attr-defined]
        self._stream = watch(HealthCheckRequest(service=service), timeout=60)
        self.told: list[str] = []
        self.code: grpc.StatusCode | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for answer in self._stream:
                self.told.append(HealthCheckResponse.ServingStatus.Name(answer.status))
            self.code = grpc.StatusCode.OK
        except grpc.RpcError as error:
            self.code = error.code()

    def wait(self) -> None:
        """Until the other side has ended it."""
        self._reader.join(20)
        assert not self._reader.is_alive()


@pytest.fixture
def thawed(engine: PrivateEngine, start: Start) -> Iterator[PrivateEngine]:
    """The Engine, which a test may freeze; requested after `start`, which then cleans up."""
    assert callable(start)
    yield engine
    engine.thaw()


def test_a_stop_ends_with_zero_and_the_jobs_run_on(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1")
    assert Response() == supervised.launch("mail", "m-1")
    before = {container.id for container in containers.everything(docker_client)}
    assert 0 == supervised.stop(within=_PROMPT_SECONDS)
    assert ["m-1", "t-1"] == containers.live(docker_client)
    assert before == {container.id for container in containers.everything(docker_client)}
    last = list(supervised.events("supervisor.stopped"))
    assert [0] == [event["code"] for event in last]
    with pytest.raises(grpc.RpcError) as raised:
        supervised.jobs()
    assert grpc.StatusCode.UNAVAILABLE == raised.value.code()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_sigint_and_sigquit_are_stops_too(
    start: Start, docker_client: docker.DockerClient, number: signal.Signals
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1")
    assert 0 == supervised.stop(number, within=_PROMPT_SECONDS)
    assert 1 == len(list(supervised.events("supervisor.stopped")))
    assert ["t-1"] == containers.live(docker_client)


def test_open_watches_are_told_and_ended_and_do_not_delay_the_stop(start: Start) -> None:
    supervised = start()
    watches = {name: Watch(supervised, name) for name in ("", _SERVICE, "liveness", "no-such")}
    eventually(lambda: all(watch.told for watch in watches.values()))
    assert 0 == supervised.stop(within=_PROMPT_SECONDS)
    for watch in watches.values():
        watch.wait()
    assert {
        "": ["SERVING", "NOT_SERVING"],
        _SERVICE: ["SERVING", "NOT_SERVING"],
        "liveness": ["SERVING"],
        "no-such": ["SERVICE_UNKNOWN"],
    } == {name: watch.told for name, watch in watches.items()}
    assert {grpc.StatusCode.OK} == {watch.code for watch in watches.values()}


def test_a_watch_is_told_at_once_while_calls_under_way_are_finished(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(JOB_STOP_GRACE_SECONDS="9")  # of ten that a stop has for calls
    assert Response() == supervised.launch("timer", "other")
    watch = Watch(supervised, "")
    eventually(lambda: ["SERVING"] == watch.told)
    with stopping(supervised, docker_client) as kill:
        eventually(lambda: ["SERVING", "NOT_SERVING"] == watch.told)
        assert not kill.done()
        status, reason = supervised.http("/readyz")
        assert 503 == status
        assert "stopping" in reason
        assert 0 == supervised.metric("supervisor_ready")
        assert (200, "alive\n") == supervised.http("/livez")
        assert not kill.done()
        containers.one(docker_client, "stubborn").kill()  # it need not have all its grace
        assert Response() == kill.result(_STOP_SECONDS)
        assert 0 == supervised.ended(within=_STOP_SECONDS)
    assert ["other"] == containers.live(docker_client)
    assert 1 == len(containers.everything(docker_client))


def test_fifty_launches_under_way_end_in_a_success_or_a_503_and_nothing_between(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    identifiers = sorted(f"t-{number}" for number in range(50))
    with ThreadPoolExecutor(50) as pool:
        launches = [pool.submit(supervised.launch, "timer", each) for each in identifiers]
        eventually(lambda: 50 == supervised.calls("LaunchJob"))
        assert 0 == supervised.stop(within=_STOP_SECONDS)
        answers = [launch.result() for launch in launches]
    _agree(docker_client, identifiers, answers)


def test_a_second_signal_ends_it_at_once(
    start: Start, docker_client: docker.DockerClient, thawed: PrivateEngine
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "before")
    assert supervised.process is not None
    with ThreadPoolExecutor(1) as pool:
        thawed.freeze()
        launch = pool.submit(supervised.launch, "timer", "late")
        eventually(lambda: 8 >= supervised.metric("supervisor_engine_workers", state="busy") >= 1)
        supervised.process.send_signal(signal.SIGTERM)
        eventually(lambda: "supervisor.draining" in supervised.log())
        time.sleep(1)  # two within half a second are one: some programs send both
        began = time.monotonic()
        assert -signal.SIGTERM == supervised.stop(within=_STOP_SECONDS)
        assert time.monotonic() - began < _PROMPT_SECONDS
        assert launch.exception() is not None
        thawed.thaw()
    supervised.start()  # which repairs what was left half done
    eventually(lambda: [] == containers.everything(docker_client))


def test_what_the_engine_has_got_is_finished_and_what_waits_is_refused_at_once(
    start: Start, docker_client: docker.DockerClient, thawed: PrivateEngine
) -> None:
    supervised = start()
    identifiers = sorted(f"t-{number}" for number in range(30))
    assert supervised.process is not None
    with ThreadPoolExecutor(30) as pool:
        thawed.freeze()  # so that none of them is finished before the signal
        launches = [pool.submit(supervised.launch, "timer", each) for each in identifiers]
        eventually(lambda: 30 == supervised.calls("LaunchJob"))
        eventually(lambda: 30 == supervised.metric("supervisor_jobs", state="starting"))
        eventually(lambda: 8 <= supervised.metric("supervisor_engine_workers", state="busy"))
        supervised.process.send_signal(signal.SIGTERM)
        refused = wait(launches, timeout=5, return_when=FIRST_COMPLETED).done
        assert {503} == {launch.result().error.code for launch in refused}
        assert all("stopping" in launch.result().error.message for launch in refused)
        thawed.thaw()
        answers = [launch.result() for launch in launches]
        assert 0 == supervised.ended(within=_STOP_SECONDS)
    _agree(docker_client, identifiers, answers)
    # 8 at once are with the Engine, and 22 wait.
    assert {0: 8, 503: 22} == Counter(answer.error.code for answer in answers)


def test_a_hung_engine_does_not_hold_up_the_stop_and_leaves_nothing_for_ever(
    start: Start, docker_client: docker.DockerClient, thawed: PrivateEngine
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "before")
    with ThreadPoolExecutor(2) as pool:
        thawed.freeze()
        calls = [
            pool.submit(supervised.launch, "timer", "late"),
            pool.submit(supervised.kill, "before"),
        ]
        eventually(lambda: 2 == supervised.calls("LaunchJob"))
        eventually(lambda: 1 == supervised.calls("KillJob"))
        began = time.monotonic()
        assert 0 == supervised.stop(within=_STOP_SECONDS)
        assert time.monotonic() - began < _STOP_SECONDS
        for call in calls:
            assert isinstance(call.exception(), grpc.RpcError) or call.result().HasField("error")
        thawed.thaw()
    supervised.start()
    eventually(lambda: [] == containers.everything(docker_client))
    assert Response() == supervised.launch("timer", "late")
    assert ["late"] == supervised.running()
    assert ["late"] == containers.live(docker_client)


@pytest.mark.parametrize("delay", ["50", "60000"], ids=["one under way", "one at the end"])
def test_a_collector_that_hangs_holds_up_no_stop(start: Start, delay: str) -> None:
    """For half a second on a machine that has nothing else to do; an export may take 20."""
    with collecting(hangs=True) as collector:
        supervised = start(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
            OTEL_EXPORTER_OTLP_TIMEOUT="20",
            OTEL_BSP_SCHEDULE_DELAY=delay,
        )
        assert Response() == supervised.launch("timer", "t-1")
        if delay == "50":
            eventually(lambda: collector.asked)
        began = time.monotonic()
        assert 0 == supervised.stop(within=_PROMPT_SECONDS)
        assert time.monotonic() - began < _PROMPT_SECONDS
        assert [] == collector.spans()
    assert 1 == len(list(supervised.events("supervisor.stopped")))


def test_a_collector_that_answers_gets_all_spans_also_the_last(start: Start) -> None:
    with collecting() as collector:
        supervised = start(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, OTEL_BSP_SCHEDULE_DELAY="1000"
        )
        assert Response() == supervised.kill("connects")
        eventually(lambda: collector.spans(f"/{_SERVICE}/KillJob"))
        identifiers = [f"nobody-{number}" for number in range(50)]
        for identifier in identifiers:
            assert Response() == supervised.kill(identifier)
        assert 0 == supervised.stop()
        calls = collector.spans(f"/{_SERVICE}/KillJob")
    told = [call.attributes["supervisor.job.identifier"] for call in calls]
    assert sorted(["connects", *identifiers]) == sorted(told)


def test_new_requests_are_refused_while_it_stops(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(JOB_STOP_GRACE_SECONDS="3")
    with stopping(supervised, docker_client) as kill:
        eventually(lambda: 503 == supervised.http("/readyz")[0])
        with pytest.raises(grpc.RpcError) as raised:
            supervised.launch("timer", "too-late")
        # gRPC cancels a call that it has got, and not handed out, when it begins to shut down.
        assert raised.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert Response() == kill.result(_STOP_SECONDS)
    assert 0 == supervised.ended(within=_STOP_SECONDS)
    assert [] == containers.everything(docker_client)


def _agree(client: docker.DockerClient, identifiers: list[str], answers: list[Response]) -> None:
    """The Engine holds exactly what succeeded, and it runs; the others got a 503."""
    assert {0, 503} >= {answer.error.code for answer in answers}
    succeeded = [
        identifier
        for identifier, answer in zip(identifiers, answers, strict=True)
        if not answer.HasField("error")
    ]
    assert succeeded == containers.live(client)
    found = containers.everything(client)
    assert {"running"} >= {container.status for container in found}
    assert len(succeeded) == len(found)
