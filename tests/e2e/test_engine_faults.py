"""An Engine that answers 500 now and then, or hangs in the middle of something."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import docker
import pytest

from scripts import engines
from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.agreement import agree, await_fall, await_return, exits
from tests.support.http_line import (
    STOPS,
    Fault,
    HttpLine,
    Meddle,
    a_share,
    requests,
    untouched,
)
from tests.support.stubborn import a_stubborn_one
from tests.support.supervised import Supervised, eventually

pytestmark = pytest.mark.timeout(240)

# What does not wait for the Engine takes milliseconds.
_AT_ONCE_SECONDS = 2.0
# A call that is given up at its time limit is so within this time of it, on a busy machine.
_LATE_SECONDS = 5.0
# How long a call to stop something may take, beside the grace.
_STOP_SECONDS = 10.0


def _each_for_the_first_time(fault: Fault) -> Meddle:
    """A fault for each request that has not been made before."""
    made: set[tuple[str, str]] = set()

    def meddle(method: str, path: str) -> Fault | None:
        request = method, path.partition("?")[0]
        if request in made:
            return None
        made.add(request)
        return fault

    return meddle


def _answers_at_once(supervised: Supervised, *running: str) -> None:
    """The list, a dedup of each job, health, and the metrics."""
    began = time.monotonic()
    assert set(running) <= set(supervised.running())
    for identifier in running:
        assert Response() == supervised.launch("timer", identifier)
    assert "SERVING" == supervised.health("liveness")
    assert (200, "alive\n") == supervised.http("/livez")
    assert len(running) <= supervised.metric("supervisor_jobs_running")
    assert time.monotonic() - began < _AT_ONCE_SECONDS


def _while_it_waits(
    call: Callable[[], Response], meanwhile: Callable[[], None]
) -> tuple[int, float]:
    """The code that a call ends with, and the seconds that it took."""
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        waiting = pool.submit(call)
        meanwhile()
        return waiting.result().error.code, time.monotonic() - began


# ---------------------------------------------------------------- 500 now and then


_LABEL = f"{containers.PREFIX}identifier"
_STARTS = {"type": "container", "event": "start"}  # Podman knows no label without its value


class _Starts:
    """How often the containers of each identifier have been started since it was made."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._since = time.time_ns()

    def count(self) -> Counter[str]:
        told = self._client.api.events(
            since=self._since // 10**9, until=int(time.time()) + 1, filters=_STARTS, decode=True
        )
        new = [event for event in told if event["timeNano"] >= self._since]
        labels = [event["Actor"]["Attributes"] for event in new]
        return Counter(each[_LABEL] for each in labels if _LABEL in each)


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.DENIED])
def test_an_engine_that_fails_now_and_then_loses_nothing_and_doubles_nothing(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient, fault: Fault
) -> None:
    meddled.meddle = a_share(fault, 0.12, seed=4)
    supervised = start(DOCKER_HOST=meddled.host)
    starts = _Starts(docker_client)
    actions = [("timer", f"t-{number}") for number in range(10)]
    reactions = [("mail", f"m-{number}") for number in range(6)]
    jobs = actions + reactions
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda job: supervised.launch(*job).error.code, jobs))
    run = [identifier for (_, identifier), code in zip(jobs, answers, strict=True) if not code]
    assert {0, 502} >= set(answers)
    assert len(run) > len(jobs) / 2
    begun = starts.count()
    assert dict.fromkeys(run, 1) == {key: begun[key] for key in run}
    with ThreadPoolExecutor(8) as pool:
        kills = list(pool.map(lambda key: supervised.kill(key).error.code, run[::2]))
    assert {0, 502} >= set(kills)
    killed = {key for key, code in zip(run[::2], kills, strict=True) if not code}
    meddled.meddle = untouched
    assert meddled.faults[fault] >= 4
    await_return(supervised)
    eventually(lambda: {job.status for job in supervised.jobs()} <= {"running"})
    running = supervised.running()
    assert not killed & set(running)
    assert set(run[1::2]) <= set(running)
    agree(supervised, docker_client, *running)
    assert len(run) == supervised.metric("supervisor_launches_total")
    assert len(run) - len(running) == supervised.metric("supervisor_exits_total")
    assert {"killed"} >= exits(supervised).keys() or 502 in kills


@pytest.mark.parametrize("name", ["timer", "webhook", "mail"])
def test_what_has_been_started_against_all_appearance_is_not_started_again(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient, name: str
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    starts = _Starts(docker_client)
    meddled.meddle = requests("POST", "/start", Fault.DENIED)
    assert Response() == supervised.launch(name, "runs-on")
    assert Response() == supervised.launch("mail", "ends", {"exit": 0})
    eventually(lambda: {"runs-on": 1, "ends": 1} == starts.count())  # Podman's events may be late
    assert 2 == meddled.faults[Fault.DENIED]
    agree(supervised, docker_client, "runs-on")
    assert {"success": 1} == exits(supervised)
    assert {"runs-on": 1, "ends": 1} == starts.count()


def test_what_has_been_started_so_and_is_renamed_at_once_runs_beside_no_second_try(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    renamed: list[str | None] = []

    def meddle(method: str, path: str) -> Fault | None:
        tries_again = path.partition("?")[0].endswith("/create") and meddled.faults[Fault.DENIED]
        if method == "POST" and tries_again and not renamed:
            first = containers.one(docker_client, "t-1")
            first.rename("renamed")
            renamed.append(first.id)
        begins = method == "POST" and path.endswith("/start") and not renamed
        return Fault.DENIED if begins else None

    meddled.meddle = meddle
    assert Response() == supervised.launch("timer", "t-1")
    eventually(lambda: 1 == len(list(supervised.events("container.discarded"))))
    assert renamed != [containers.one(docker_client, "t-1").id]
    agree(supervised, docker_client, "t-1")
    assert {} == exits(supervised)


def test_an_engine_that_fails_at_it_each_time_is_a_502_and_leaves_nothing(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    meddled.meddle = requests("POST", "/start", Fault.REFUSED)
    answer = supervised.launch("timer", "t-1")
    assert 502 == answer.error.code
    assert "an error that a test has made" in answer.error.message
    agree(supervised, docker_client)
    meddled.meddle = untouched
    assert Response() == supervised.launch("timer", "t-1")
    meddled.meddle = requests("POST", STOPS, Fault.REFUSED)
    assert 502 == supervised.kill("t-1").error.code
    agree(supervised, docker_client, "t-1")


def test_a_start_that_meets_failures_clears_away_all_the_same(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    for number in range(6):
        labels = containers.labels_of_another("default", f"t-{number}", f"{number:016}")
        containers.stranger(docker_client, f"t-{number}", labels)
    meddled.meddle = _each_for_the_first_time(Fault.REFUSED)
    supervised = start(DOCKER_HOST=meddled.host)
    assert meddled.faults[Fault.REFUSED] >= 2 * 6  # each was to be stopped, and removed
    agree(supervised, docker_client)


def test_what_is_removed_between_create_and_start_is_made_anew(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    """As a `docker container prune` does to whatever has not been started yet."""
    supervised = start(DOCKER_HOST=meddled.host)
    pruned: list[str] = []

    def meddle(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/start") and len(pruned) < 2:
            pruned.extend(docker_client.containers.prune()["ContainersDeleted"])

    meddled.meddle = meddle
    assert Response() == supervised.launch("timer", "t-1")
    assert Response() == supervised.launch("mail", "m-1")
    assert 2 == len(pruned)
    agree(supervised, docker_client, "m-1", "t-1")
    assert {} == exits(supervised)


# ---------------------------------------------------------------- hung in the middle


def test_a_create_that_is_not_answered_is_a_504_at_its_time_limit_and_leaves_nothing(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=meddled.host, LAUNCH_TIMEOUT_SECONDS="3")
    assert Response() == supervised.launch("timer", "runs")
    meddled.meddle = requests("POST", "/containers/create", Fault.UNANSWERED)

    def meanwhile() -> None:
        eventually(lambda: meddled.faults[Fault.UNANSWERED])
        _answers_at_once(supervised, "runs")
        assert "SERVING" == supervised.health()

    code, seconds = _while_it_waits(lambda: supervised.launch("timer", "t-1"), meanwhile)
    assert 504 == code
    assert 3 <= seconds < 3 + _LATE_SECONDS
    meddled.meddle = untouched
    agree(supervised, docker_client, "runs")
    assert 1 == supervised.metric("supervisor_failures_total", reason="timeout")
    assert Response() == supervised.launch("timer", "t-1")
    agree(supervised, docker_client, "runs", "t-1")


def test_events_that_are_not_answered_hold_no_thread_for_ever(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    meddled.meddle = requests("GET", "/events", Fault.LOST)
    supervised = start(DOCKER_HOST=meddled.host, ready=False)
    eventually(lambda: meddled.faults[Fault.LOST] >= 2, within=30)
    busy = partial(supervised.metric, "supervisor_engine_workers", state="busy")
    eventually(lambda: 1 >= busy())  # the one of the second attempt
    assert 503 == supervised.http("/readyz")[0]
    meddled.meddle = untouched
    await_return(supervised)
    eventually(lambda: 0 == busy())
    assert Response() == supervised.launch("timer", "t-1")
    agree(supervised, docker_client, "t-1")


def test_an_engine_that_hangs_in_the_middle_of_a_kill_is_a_504_at_its_time_limit(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start(JOB_STOP_GRACE_SECONDS="3")
    assert Response() == supervised.launch("timer", "runs")
    a_stubborn_one(supervised, docker_client, "t-1")

    def meanwhile() -> None:
        eventually(lambda: "stopping" in {job.status for job in supervised.jobs()})
        fragile.freeze()
        _answers_at_once(supervised, "runs")
        await_fall(supervised)
        _answers_at_once(supervised, "runs")

    code, seconds = _while_it_waits(lambda: supervised.kill("t-1"), meanwhile)
    assert 504 == code
    assert 3 <= seconds < 3 + _STOP_SECONDS + _LATE_SECONDS
    assert ["runs", "t-1"] == supervised.running()  # as far as anybody knows
    fragile.thaw()
    await_return(supervised)
    if engines.kind() == "Podman":  # it drops a stop whose client has hung up
        assert Response() == supervised.kill("t-1")
    agree(supervised, docker_client, "runs")
    assert 1 == supervised.metric("supervisor_kills_total", outcome="failed")


def test_a_hung_containerd_is_noticed_although_the_engine_answers(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start(JOB_STOP_GRACE_SECONDS="0", LAUNCH_TIMEOUT_SECONDS="3")
    for identifier in ("runs", "t-1"):
        assert Response() == supervised.launch("timer", identifier)
    fragile.freeze_containerd()
    assert docker_client.ping()

    def meanwhile() -> None:
        code, seconds = _while_it_waits(
            lambda: supervised.launch("timer", "t-2"), lambda: _answers_at_once(supervised, "runs")
        )
        assert 504 == code
        assert seconds < 3 + _LATE_SECONDS
        await_fall(supervised)
        _answers_at_once(supervised, "runs")
        assert 503 == supervised.launch("timer", "t-3").error.code

    code, _ = _while_it_waits(lambda: supervised.kill("t-1"), meanwhile)
    assert 504 == code
    fragile.thaw()
    await_return(supervised)
    eventually(lambda: "t-1" not in supervised.running())  # as soon as the Engine has come to it
    agree(supervised, docker_client, "runs")
    assert Response() == supervised.launch("timer", "t-2")
    agree(supervised, docker_client, "runs", "t-2")
