"""Credentials that are no argument: who sees them, and whether they get into the log."""

import json
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts import engines
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers, node, secret_searches, worker
from tests.support.supervised import Supervised, eventually

_AUTH = {"token": "t0p-s3cret-31337", "nested": {"key": "{{.Node.ID}} n3sted-s3cret"}}
_JSON = json.dumps(_AUTH, separators=(",", ":"), sort_keys=True)
_PIECES = ("t0p-s3cret", "n3sted-s3cret")
_WAYS = ["file", "environment"]
_ON_SWARM = engines.chosen() == engines.SWARM
# A Swarm wants to know the number of the user that reads a file.
_USER = ', user = "0"' if _ON_SWARM else ""
# A start that soon removes what no job has. A Swarm asks for more than the limit of a launch.
_SOON: dict[str, Any] = (
    {"LAUNCH_TIMEOUT_SECONDS": "2", "ORPHAN_GRACE_SECONDS": "2.1"}
    if _ON_SWARM
    else {"ORPHAN_GRACE_SECONDS": "0"}
)
_ROOT = Path(__file__).parents[2]


@pytest.fixture
def supervised(start: Start, tmp_path: Path) -> Supervised:
    """A supervisor with a job for each way, under its name."""
    path = tmp_path / "ways.toml"
    keys = f'kind = "action", image = "{worker.IMAGE}"{_USER}'
    jobs = (f'{way} = {{ {keys}, auth = "{way}" }}' for way in _WAYS)
    path.write_text("\n".join(["[jobs]", *jobs]))
    return start(JOB_CATALOG=str(path), SUPERVISOR_ON_START="adopt")


def _output(client: docker.DockerClient, identifier: str) -> str:
    return str(containers.one(client, identifier).logs().decode())


@pytest.mark.parametrize("way", _WAYS)
def test_a_worker_finds_its_credentials_where_the_catalogue_says(
    supervised: Supervised, docker_client: docker.DockerClient, way: str
) -> None:
    assert Response() == supervised.launch(way, "a-1", {"show-auth": 1}, _AUTH)
    eventually(lambda: f"auth: {_JSON}\n" in _output(docker_client, "a-1"))
    container = containers.one(docker_client, "a-1")
    assert "--auth" not in containers.arguments(container)
    assert not any(piece in str(containers.arguments(container)) for piece in _PIECES)
    assert not any(piece in str(container.labels) for piece in _PIECES)


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("restarted", [False, True], ids=["here", "after a restart"])
def test_what_a_worker_says_of_its_credentials_is_not_in_the_log(
    supervised: Supervised, docker_client: docker.DockerClient, way: str, restarted: bool
) -> None:
    assert Response() == supervised.launch(way, "a-1", {"show-auth": 1, "leave": 3}, _AUTH)
    eventually(lambda: "auth: " in _output(docker_client, "a-1"))
    if restarted:
        supervised.stop(signal.SIGKILL)
        supervised.start()
    containers.one(docker_client, "a-1").kill(signal.SIGTERM)
    (event,) = eventually(lambda: list(supervised.events("job.exited")))
    assert 3 == event["exit_code"]
    assert any("[redacted]" in line for line in event["output"])
    assert not any(piece in supervised.log() for piece in _PIECES)


@pytest.mark.parametrize("way", _WAYS)
def test_another_launch_with_other_credentials_is_a_dedup_that_tells_none(
    supervised: Supervised, way: str
) -> None:
    assert Response() == supervised.launch(way, "a-1", {}, _AUTH)
    assert Response() == supervised.launch(way, "a-1", {}, {"token": "0ther-s3cret"})
    (dedup,) = eventually(lambda: list(supervised.events("launch.dedup")))
    assert ["auth"] == dedup["differing"]
    assert "s3cret" not in supervised.log()


def _files(client: docker.DockerClient) -> Sequence[str]:
    """The files with credentials: a volume each, or on a Swarm a secret."""
    if _ON_SWARM:
        return [each.name for each in client.secrets.list()]
    return secret_searches.volumes(client, {"area.supervisor.instance": "default"})


def test_a_file_is_seen_by_nobody_on_the_host_and_goes_with_its_container(
    supervised: Supervised, docker_client: docker.DockerClient
) -> None:
    for number, params in enumerate(({}, {}, {"exit": 0}, {"exit": 3})):
        assert Response() == supervised.launch("file", f"a-{number}", params, _AUTH)
    assert [] == [p for s in _PIECES for p in secret_searches.places_with(s, docker_client)]
    assert Response() == supervised.kill("a-0")
    eventually(lambda: supervised.has_only("a-1"))
    assert 1 == len(_files(docker_client))
    assert Response() == supervised.kill_all()
    assert [] == _files(docker_client)


def test_no_file_stays_behind_of_launches_whose_supervisor_was_killed(
    supervised: Supervised, docker_client: docker.DockerClient
) -> None:
    with ThreadPoolExecutor(16) as pool:
        launches = [
            pool.submit(supervised.launch, "file", f"a-{number}", {}, _AUTH) for number in range(16)
        ]
        eventually(lambda: _files(docker_client))  # some are about to be written
        supervised.stop(signal.SIGKILL)
        for launch in launches:
            launch.exception()
    _nothing_stays(supervised, docker_client)


def test_no_file_stays_behind_of_jobs_whose_supervisor_was_killed_while_it_ended_them(
    supervised: Supervised, docker_client: docker.DockerClient
) -> None:
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda n: supervised.launch("file", f"a-{n}", {}, _AUTH), range(8)):
            assert Response() == answer
        ending = pool.submit(supervised.kill_all)
        eventually(lambda: len(_files(docker_client)) < 8)
        supervised.stop(signal.SIGKILL)
        ending.exception()
    _nothing_stays(supervised, docker_client)


def _nothing_stays(supervised: Supervised, client: docker.DockerClient) -> None:
    """After the next start, which removes what runs."""
    supervised.start(SUPERVISOR_ON_START="remove", **_SOON)
    eventually(lambda: not containers.everything(client), within=60)
    eventually(lambda: not _files(client), within=90 if _ON_SWARM else 20)


def test_a_file_that_is_left_behind_when_somebody_removes_its_container_is_removed(
    supervised: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == supervised.launch("file", "a-1", {}, _AUTH)
    supervised.stop(signal.SIGKILL)
    containers.one(docker_client, "a-1").remove(force=True)  # and not its volumes
    assert 1 == len(_files(docker_client))
    supervised.start()
    (event,) = eventually(lambda: list(supervised.events("credentials.removed")))
    assert 1 == event["files"]
    assert [] == _files(docker_client)


@pytest.mark.parametrize("way", _WAYS)
def test_a_parameter_cannot_take_the_place_of_the_credentials(
    supervised: Supervised, way: str
) -> None:
    answer = supervised.launch(way, "a-1", {"auth-file": "/etc/passwd"}, _AUTH)
    assert (400, True) == (answer.error.code, "'auth-file'" in answer.error.message)


def test_a_job_that_is_started_again_has_its_file_and_leaves_none(
    start: Start, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    path = tmp_path / "again.toml"
    restart = '{ on = "failure", attempts = 1, back_off = "100ms" }'
    keys = f'kind = "action", image = "{worker.IMAGE}", read_only = true, user = "8877"'
    path.write_text(f'[jobs]\nagain = {{ {keys}, auth = "file", restart = {restart} }}')
    supervised = start(JOB_CATALOG=str(path), SUPERVISOR_ON_START="adopt")
    params = {"show-auth": 1, "leave": 3}
    assert Response() == supervised.launch("again", "a-1", params, _AUTH)
    first = containers.one(docker_client, "a-1")
    eventually(lambda: f"auth: {_JSON}\n" in _output(docker_client, "a-1"))
    supervised.stop(signal.SIGKILL)  # it then knows of the credentials what the container has
    supervised.start()
    first.kill(signal.SIGTERM)
    eventually(lambda: list(supervised.events("job.restarted")), within=30)
    eventually(lambda: supervised.has_only("a-1") and len(_files(docker_client)) == 1)
    second = containers.one(docker_client, "a-1")
    assert first.id != second.id
    eventually(lambda: f"auth: {_JSON}\n" in second.logs().decode())
    second.kill(signal.SIGTERM)
    eventually(supervised.is_idle)
    (exited,) = supervised.events("job.exited")
    assert any("[redacted]" in line for line in exited["output"])
    assert not any(piece in supervised.log() for piece in _PIECES)
    assert [] == _files(docker_client)


def _seen_by_node(options: dict[str, str], **environment: str) -> object:
    program = _ROOT / "examples" / "worker" / "credentials.js"
    read = "require(process.argv[1]).credentials(JSON.parse(process.argv[2]))"
    told = f"console.log(JSON.stringify({read}))"
    run = subprocess.run(
        ["node", "-e", told, str(program), json.dumps(options)],
        env=node.environment() | environment,
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    return json.loads(run.stdout)


def test_a_worker_for_node_finds_its_credentials_wherever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text(_JSON)
    assert _AUTH == _seen_by_node({"auth": _JSON, "auth-file": "/nowhere"}, AREA_AUTH="{}")
    assert _AUTH == _seen_by_node({"auth-file": str(path)}, AREA_AUTH="{}")
    assert _AUTH == _seen_by_node({}, AREA_AUTH=_JSON)
    assert {} == _seen_by_node({})
