"""How long a job runs, how it is stopped, and whether it is started again, on a real Engine."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts import engines
from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from service.jobs.labels import RESTARTS_LABEL, restarts_in
from tests.conftest import Start
from tests.support import containers, worker
from tests.support.supervised import Supervised, eventually
from tests.support.volumes import Volumes

pytestmark = pytest.mark.timeout(240)

_SECRET = "s3cret-of-the-job"
_ENDS = [signal.SIGTERM, signal.SIGKILL]
_ROUNDS, _JOBS = 3, 3


@pytest.fixture
def adopting(start: Start) -> Supervised:
    return start(SUPERVISOR_ON_START="adopt", JOB_STOP_GRACE_SECONDS="60")


def _exits(supervised: Supervised) -> list[dict[str, Any]]:
    return list(supervised.events("job.exited"))


def _outcomes(supervised: Supervised) -> list[str]:
    return [each["outcome"] for each in _exits(supervised)]


def _status(supervised: Supervised, identifier: str) -> str:
    return next((j.status for j in supervised.jobs() if j.identifier == identifier), "")


# How it is stopped


def test_a_job_has_a_grace_and_a_signal_of_its_own_also_for_the_next_supervisor(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == adopting.launch("polite", "well")
    assert Response() == adopting.launch("hasty", "deaf", {"stubborn": "1"})
    deaf = containers.one(docker_client, "deaf")
    eventually(lambda: worker.DEAF in deaf.logs())
    adopting.stop(signal.SIGKILL)
    adopting.start()
    began = time.monotonic()
    assert Response() == adopting.kill_all()
    assert time.monotonic() - began < 30  # and not the supervisor's 60 s
    assert [] == containers.everything(docker_client)
    codes = {each["identifier"]: each["exit_code"] for each in _exits(adopting)}
    assert {"well": 128 + signal.SIGINT, "deaf": 128 + signal.SIGKILL} == codes


# How long it runs


def test_a_job_is_ended_after_its_time(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == adopting.launch("brief", "b-1")
    eventually(lambda: not containers.everything(docker_client))
    (exited,) = eventually(lambda: _exits(adopting))
    assert ("timed_out", 143) == (exited["outcome"], exited["exit_code"])
    assert 3 <= exited["seconds"] < 10
    assert 1 == adopting.metric("supervisor_exits_total", job_name="brief", outcome="timed_out")


def test_what_is_over_its_time_when_a_supervisor_comes_back_is_ended_at_once(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == adopting.launch("brief", "b-1")
    began = time.time()
    adopting.stop(signal.SIGKILL)
    container = containers.one(docker_client, "b-1")
    eventually(lambda: time.time() - began > 4)
    assert containers.runs(container)
    adopting.start()
    eventually(lambda: not containers.everything(docker_client))
    assert ["timed_out"] == eventually(lambda: _outcomes(adopting))


def test_a_sigkill_while_a_job_is_ended_after_its_time_does_not_spare_it(
    start: Start, catalog: Path, docker_client: docker.DockerClient
) -> None:
    keys = f'kind = "action", image = "{worker.IMAGE}", time_limit = "1s", stop_grace = "20s"'
    catalog.write_text(f"{catalog.read_text()}briefer = {{ {keys} }}\n")
    adopting = start(SUPERVISOR_ON_START="adopt")
    assert Response() == adopting.launch("briefer", "b-1", {"stubborn": "1"})
    eventually(lambda: list(adopting.events("job.time_limit_passed")))
    adopting.stop(signal.SIGKILL)  # during its grace, which a start on a busy machine is part of
    container = containers.one(docker_client, "b-1")
    assert containers.runs(container)
    adopting.start()
    eventually(lambda: ["stopping"] == [job.status for job in adopting.jobs()])
    container.kill()  # it need not have all its grace
    eventually(lambda: not containers.everything(docker_client))
    (exited,) = eventually(lambda: _exits(adopting))
    assert ("timed_out", 137) == (exited["outcome"], exited["exit_code"])


# Whether it is started again


def _kill_and_wait(supervised: Supervised, client: docker.DockerClient, identifier: str) -> str:
    """The id of the container that runs in place of the one that is killed here."""
    old = containers.one(client, identifier)
    old.kill()
    return _successor(supervised, client, identifier, str(old.id))


def _successor(
    supervised: Supervised, client: docker.DockerClient, identifier: str, old: str
) -> str:
    def found() -> str:
        each = containers.of(client, identifier)
        ids = [str(c.id) for c in each if containers.runs(c)]
        alone = len(ids) == len(each) == 1 and ids[0] != old
        return ids[0] if alone and identifier in supervised.running() else ""

    return eventually(found, within=30)


@pytest.mark.parametrize(
    ("number", "mode"), [(signal.SIGTERM, "production"), (signal.SIGKILL, "development")]
)
def test_what_ends_is_started_again_also_by_the_next_supervisor(
    start: Start, docker_client: docker.DockerClient, number: signal.Signals, mode: str
) -> None:
    adopting = start(SUPERVISOR_ON_START="adopt", GO_ENV=mode)
    assert Response() == adopting.launch("again", "a-1", {"say": "x"}, {"token": _SECRET})
    first = containers.one(docker_client, "a-1")
    arguments = containers.arguments(first)
    _kill_and_wait(adopting, docker_client, "a-1")
    adopting.stop(number)
    old = containers.one(docker_client, "a-1")
    old.kill()
    adopting.start()
    _successor(adopting, docker_client, "a-1", str(old.id))
    now = containers.one(docker_client, "a-1")
    assert arguments == containers.arguments(now)
    assert 2 == restarts_in(now.labels).total
    # A Swarm runs it for a moment before the supervisor is told.
    eventually(lambda: adopting.metric("supervisor_restarts_total", job_name="again") == 1)
    assert 0 == adopting.metric("supervisor_launches_total")
    assert _SECRET not in adopting.log_file.read_text()
    assert Response() == adopting.kill("a-1")
    assert [] == containers.everything(docker_client)


def test_a_sigkill_at_any_moment_of_a_restart_leaves_each_job_once(
    start: Start, docker_client: docker.DockerClient
) -> None:
    adopting = start(SUPERVISOR_ON_START="adopt", ORPHAN_GRACE_SECONDS="0")
    chance = random.Random(17)
    identifiers = [f"a-{number}" for number in range(_JOBS)]
    for identifier in identifiers:
        assert Response() == adopting.launch("again", identifier)
    for _ in range(_ROUNDS):
        before = {each: str(containers.one(docker_client, each).id) for each in identifiers}
        for identifier in identifiers:
            containers.one(docker_client, identifier).kill()
        time.sleep(chance.uniform(0, 0.6))  # into the middle of it
        adopting.stop(signal.SIGKILL)
        adopting.start()
        for identifier in identifiers:
            _successor(adopting, docker_client, identifier, before[identifier])
    assert identifiers == adopting.running() == containers.live(docker_client)
    assert Response() == adopting.kill_all()
    assert [] == containers.everything(docker_client)


def _counting_files(client: docker.DockerClient) -> Callable[[], int]:
    """How many files with credentials there are from now on: volumes, or on a Swarm secrets."""
    if engines.chosen() == engines.SWARM:
        return lambda: len(client.secrets.list())
    return Volumes(client).__len__


def test_a_file_with_credentials_goes_on_to_the_successor(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    files = _counting_files(docker_client)
    assert Response() == adopting.launch("sealed", "s-1", auth={"token": _SECRET})
    _kill_and_wait(adopting, docker_client, "s-1")
    assert 1 == files()
    new = containers.one(docker_client, "s-1")
    look = ["/bin/busybox", "cat", "/run/area-auth/auth.json"]
    assert (0, f'{{"token":"{_SECRET}"}}'.encode()) == tuple(new.exec_run(look))
    assert _SECRET not in str(docker_client.api.inspect_container(str(new.id)))
    assert Response() == adopting.kill("s-1")
    assert 0 == files()


def test_past_its_attempts_a_job_ends_with_its_last_outcome_told_once(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == adopting.launch("twice", "t-1", {"exit": "3"})
    eventually(lambda: _exits(adopting), within=60)
    eventually(lambda: not containers.everything(docker_client))
    (exited,) = adopting.events("job.exited")
    assert ("error", 3, 2, "attempts") == tuple(
        exited[key] for key in ("outcome", "exit_code", "restarts", "not_restarted")
    )
    assert [1, 2] == [each["attempt"] for each in adopting.events("job.backing_off")]
    assert 1 == adopting.metric("supervisor_exits_total", job_name="twice")
    assert Response() == adopting.launch("twice", "t-2", {"exit": "64"})
    eventually(lambda: len(_exits(adopting)) == 2)
    assert "exit_code" == _exits(adopting)[1]["not_restarted"]


@pytest.mark.parametrize("number", _ENDS)
def test_while_a_job_waits_it_is_there_and_a_kill_ends_that(
    adopting: Supervised, docker_client: docker.DockerClient, number: signal.Signals
) -> None:
    assert Response() == adopting.launch("later", "l-1")
    containers.one(docker_client, "l-1").kill()
    eventually(lambda: _status(adopting, "l-1") == "backing_off")
    assert 1 == adopting.metric("supervisor_jobs", state="backing_off")
    adopting.stop(number)
    adopting.start()
    eventually(lambda: _status(adopting, "l-1") == "backing_off")
    assert Response() == adopting.launch("later", "l-1")
    assert 1 == adopting.metric("supervisor_dedups_total")
    assert Response() == adopting.kill("l-1")
    assert [] == containers.everything(docker_client)
    assert "killed" == _outcomes(adopting)[-1]


def test_a_start_with_remove_removes_what_waits(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervisor = start()
    assert Response() == supervisor.launch("later", "l-1")
    containers.one(docker_client, "l-1").kill()
    eventually(lambda: _status(supervisor, "l-1") == "backing_off")
    supervisor.stop()
    supervisor.start()
    assert [] == containers.everything(docker_client)


def test_an_engine_that_restarts_takes_no_job_that_restarts(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervisor = start()
    assert Response() == supervisor.launch("again", "a-1")
    assert Response() == supervisor.launch("twice", "t-1", {"leave": "0"})
    before = {each: str(containers.one(docker_client, each).id) for each in ("a-1", "t-1")}
    fragile.stop()
    fragile.start()
    for identifier, old in before.items():
        _successor(supervisor, docker_client, identifier, old)
        labels = containers.one(docker_client, identifier).labels
        assert RESTARTS_LABEL in labels
    assert {"lost"} == {each["outcome"] for each in supervisor.events("job.backing_off")}
