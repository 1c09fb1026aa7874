"""An Engine that is told to stop: it answers while its containers end, and takes them along."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path

import docker
import pytest

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import catalog as catalog_of_tests
from tests.support import containers, worker
from tests.support.activated_engine import ActivatedEngine
from tests.support.agreement import agree, await_fall, await_return, exits
from tests.support.http_line import Fault, HttpLine, requests, untouched
from tests.support.line import Line, a_line, a_tcp_line
from tests.support.prometheus import Prometheus
from tests.support.supervised import Supervised, eventually

pytestmark = pytest.mark.timeout(240)

_ALERTS = Path(__file__).parents[2] / "dashboards" / "prometheus" / "alerts.yml"

# "up to 5 s", tested generously.
_PATIENCE_SECONDS = 3.5
# What a worker waits for (seconds) until this, in its container, ends the wait.
_LONG = 600
_SCRIPT = (
    "cd /proc; for each in [1-9]*; do case $(/bin/busybox tr '\\0' ' ' <$each/cmdline) in"
    f" '/bin/busybox sleep {_LONG} ') kill $each ;; esac; done"
)
_END_THE_WAIT = ["/bin/busybox", "sh", "-c", _SCRIPT]
_Manners = tuple[dict[str, int], ...]
# How workers take a SIGTERM: as it comes, with an exit code of their own, or being deaf to it. An
# Engine without the last is gone, and back, within two seconds.
_HEEDING: _Manners = ({}, {"leave": 0}, {"leave": 1}, {"leave": 134}, {"leave": 143})
_MANNERS: _Manners = (*_HEEDING, {"stubborn": 1})


@pytest.fixture
def activated() -> Iterator[ActivatedEngine]:
    """An Engine whose socket stays while it is away, with the tests' image."""
    with ActivatedEngine() as engine:
        with closing(docker.DockerClient(engine.host)) as client:
            worker.make(client)
        yield engine


@contextmanager
def _supervised(engine: PrivateEngine, directory: Path) -> Iterator[Supervised]:
    path = directory / "catalog.toml"
    path.write_text(catalog_of_tests.TEXT)
    with Supervised(
        directory, {"DOCKER_HOST": engine.host, "JOB_CATALOG": str(path)}
    ) as supervised:
        yield supervised


def _await_pings(supervised: Supervised) -> None:
    """Until each thread that pings is connected."""
    pings = partial(
        supervised.metric, "supervisor_engine_operation_duration_seconds_count", operation="ping"
    )
    eventually(lambda: pings() >= 6)


def _run(
    supervised: Supervised, manners: _Manners, names: Sequence[str] = ("timer", "webhook", "mail")
) -> list[str]:
    """Jobs of each kind, with each of the manners; their identifiers."""
    identifiers = []
    for name in names:
        for number, manner in enumerate(manners):
            identifiers.append(f"{name}-{number}")
            assert Response() == supervised.launch(name, identifiers[-1], manner)
    return identifiers


def _lost(supervised: Supervised, identifiers: list[str]) -> None:
    """All that ran has been lost; each is told of last."""
    eventually(supervised.is_idle, within=45)
    told = list(supervised.events("job.exited"))[-len(identifiers) :]
    assert dict.fromkeys(identifiers, "lost") == {
        event["identifier"]: event["outcome"] for event in told
    }
    assert {"lost"} == exits(supervised).keys()
    assert 0 == supervised.metric("supervisor_exits_by_others_total")


def test_whatever_a_worker_makes_of_sigterm_a_stopping_engine_has_lost_its_job(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    for manners in (_MANNERS, _HEEDING):
        identifiers = _run(supervised, manners)
        fragile.stop_daemon()
        fragile.start()
        await_return(supervised)
        _lost(supervised, identifiers)
        agree(supervised, docker_client)


@pytest.mark.parametrize("manners", [_MANNERS, _HEEDING], ids=["slow", "quick"])
def test_the_same_where_systemd_holds_the_engines_socket(
    activated: ActivatedEngine, tmp_path: Path, manners: _Manners
) -> None:
    """A ping waits there, until the new Engine answers it."""
    with _supervised(activated, tmp_path) as supervised:
        identifiers = _run(supervised, manners, ["timer"])
        activated.stop_daemon()
        activated.start()
        await_return(supervised)
        _lost(supervised, identifiers)


@pytest.mark.parametrize(
    ("a_proxy", "manners"),
    [(a_line, _MANNERS), (a_tcp_line, _HEEDING)],
    ids=["at a socket, slow", "at a port, quick"],
)
def test_the_same_behind_a_proxy_that_goes_on_listening(
    start: Start,
    fragile: PrivateEngine,
    tmp_path: Path,
    a_proxy: Callable[[Path, Path], AbstractContextManager[Line]],
    manners: _Manners,
) -> None:
    """It takes a ping's connection, and hangs up, as it can pass on nothing."""
    with a_proxy(tmp_path / "proxy.sock", fragile.socket) as proxy:
        supervised = start(DOCKER_HOST=proxy.host)
        identifiers = _run(supervised, manners, ["timer"])
        fragile.stop_daemon()
        fragile.start()
        await_return(supervised)
        _lost(supervised, identifiers)


def test_the_alert_for_many_lost_jobs_tells_of_an_engines_stop_and_no_other_does(
    start: Start, fragile: PrivateEngine, tmp_path: Path
) -> None:
    supervised = start()
    target = f"127.0.0.1:{supervised.metrics_port}"
    with Prometheus(tmp_path, target, rules=[_ALERTS]) as prometheus:
        identifiers = _run(supervised, _HEEDING)
        fragile.stop_daemon()
        fragile.start()
        await_return(supervised)
        _lost(supervised, identifiers)
        firing = 'ALERTS{alertstate="firing", alertname="Supervisor%s"}'
        eventually(lambda: prometheus.now(firing % "ManyJobsLost"), within=30)
        assert [] == prometheus.now(firing % "JobsEndedByOthers")
        assert [] == prometheus.now(firing % "JobEndsEarly")
        assert [] == prometheus.now(firing % "ActionEnded")


def test_nothing_is_told_as_stopping_while_the_engine_stops(
    start: Start, fragile: PrivateEngine
) -> None:
    supervised = start()
    identifiers = _run(supervised, _MANNERS)
    stubborn = {each for each in identifiers if each.endswith(f"-{len(_MANNERS) - 1}")}
    told: set[str] = set()
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(fragile.stop_daemon)
        while not stopping.done():
            told |= {job.status for job in supervised.jobs()}
            assert 0 == supervised.metric("supervisor_jobs", state="stopping")
    assert {"running"} == told
    eventually(lambda: set(supervised.running()) <= stubborn)
    fragile.start()
    await_return(supervised)
    _lost(supervised, identifiers)


def test_what_ends_by_itself_is_a_success_also_while_the_engine_stops(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    for name in ("webhook", "mail", "timer"):
        assert Response() == supervised.launch(name, name, {"after": _LONG, "exit": 0})
    meddled.take_no_more()
    await_fall(supervised)
    for container in containers.of_ours(docker_client):
        container.exec_run(_END_THE_WAIT)  # it ends with its container
    eventually(lambda: [] == supervised.running(), within=30)
    meddled.cut()
    meddled.mend()
    await_return(supervised)
    eventually(supervised.is_idle, within=45)
    assert {"success": 2, "lost": 1} == exits(supervised)
    assert 0 == supervised.metric("supervisor_exits_by_others_total")


def test_an_exit_is_no_loss_while_the_engine_stays(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1", {"exit": 143, "after": 0.2})
    assert Response() == supervised.launch("timer", "t-2", {"exit": 0, "after": 0.2})
    assert Response() == supervised.launch("webhook", "w-1", {"leave": 0})
    container = containers.one(docker_client, "w-1")
    eventually(lambda: b"argument: 0" in container.logs())
    container.stop()
    eventually(supervised.is_idle)
    assert {"error": 1, "ended": 1, "success": 1} == exits(supervised)


def test_readiness_falls_while_a_stopping_engine_still_answers(
    start: Start, meddled: HttpLine
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    _await_pings(supervised)
    meddled.take_no_more()
    await_fall(supervised)
    assert "Docker Engine" in supervised.http("/readyz")[1]
    meddled.cut()
    meddled.mend()
    await_return(supervised)


def test_a_launch_waits_for_an_engine_that_fails_because_it_stops(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    identifiers = [f"before-{number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:  # each thread that may be next is connected
        answers = pool.map(lambda each: supervised.launch("timer", each), identifiers)
        assert [Response()] * 4 == list(answers)
    _await_pings(supervised)
    meddled.meddle = requests("POST", "/start", Fault.REFUSED)
    meddled.take_no_more()
    with ThreadPoolExecutor(1) as pool:
        launch = pool.submit(supervised.launch, "timer", "t-1")
        eventually(lambda: meddled.faults[Fault.REFUSED])
        await_fall(supervised)
        assert not launch.done()
        meddled.cut()
        meddled.meddle = untouched
        meddled.mend()
        assert Response() == launch.result()
    await_return(supervised)
    agree(supervised, docker_client, *identifiers, "t-1")


def test_an_engine_that_fails_and_stays_is_not_waited_for(start: Start, meddled: HttpLine) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    meddled.meddle = requests("POST", "/start", Fault.REFUSED)
    assert 502 == supervised.launch("timer", "t-1").error.code
    meddled.meddle = untouched


def test_launches_that_meet_a_graceful_restart_succeed(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    for number in range(8):
        assert Response() == supervised.launch("timer", f"before-{number}")

    def restart() -> float:
        began = time.monotonic()
        fragile.stop_daemon()
        fragile.start()
        return time.monotonic() - began

    def launch(identifier: str) -> tuple[Response, float]:
        began = time.monotonic()
        return supervised.launch("timer", identifier), time.monotonic() - began

    launches: list[Future[tuple[Response, float]]] = []
    with ThreadPoolExecutor(64) as pool:
        restarting = pool.submit(restart)
        while not restarting.done():
            launches.append(pool.submit(launch, f"t-{len(launches)}"))
            time.sleep(0.03)  # one after the other, so that there is one at each stage
        answers = [launch.result() for launch in launches]
    failed = [(answer.error, took) for answer, took in answers if answer != Response()]
    # On a machine on which that takes longer, as much is waited as is promised.
    assert [] == [error for error, took in failed if error.code != 503 or took < _PATIENCE_SECONDS]
    assert restarting.result() > _PATIENCE_SECONDS or [] == failed
    await_return(supervised)
    eventually(lambda: supervised.running() == containers.live(docker_client), within=45)
    agree(supervised, docker_client, *supervised.running())
