"""The catalogue's file changes while the supervisor runs."""

import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import docker

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from service.jobs.catalog_file import load_catalog
from tests.conftest import Start
from tests.support import containers, worker
from tests.support.supervised import Supervised, eventually, run_command

_SUCCESS = "supervisor_catalog_reload_success"
# The goal is five; the machine may be busy.
_SECONDS = 30.0
_CLOCK = f'clock = {{ kind = "action", image = "{worker.IMAGE}", memory = "16m" }}\n'


def _read(supervised: Supervised) -> int:
    return len(list(supervised.events("catalog.read")))


def test_a_changed_catalogue_is_used_and_what_runs_is_not_touched(
    supervisor: Supervised, catalog: Path, docker_client: docker.DockerClient
) -> None:
    assert Response() == supervisor.launch("timer", "runs")
    before = containers.one(docker_client, "runs")
    text = catalog.read_text()
    newer = catalog.with_name("newer.toml")
    newer.write_text(text.replace("\ntimer =", "\nold-timer =") + _CLOCK)
    newer.replace(catalog)
    eventually(lambda: 1 == _read(supervisor), within=_SECONDS)
    (told,) = supervisor.events("catalog.read")
    assert (["clock", "old-timer"], ["timer"]) == (told["added"], told["removed"])
    assert 0 == supervisor.metric("supervisor_launches_total", job_name="clock")
    assert Response() == supervisor.launch("clock", "c-1")
    assert 16 * 2**20 == containers.one(docker_client, "c-1").attrs["HostConfig"]["Memory"]
    for identifier in ("runs", "new"):  # the first one was a dedup before
        refused = supervisor.launch("timer", identifier).error
        assert 404 == refused.code
        assert "name: 'timer' is no longer a job of the catalogue" == refused.message
    assert ["c-1", "runs"] == supervisor.running()
    after = containers.one(docker_client, "runs")
    assert (before.id, before.attrs["State"]["StartedAt"]) == (
        after.id,
        after.attrs["State"]["StartedAt"],
    )
    assert Response() == supervisor.kill("runs")
    assert ["c-1"] == containers.live(docker_client)
    assert 0 == supervisor.metric("supervisor_jobs_running", job_name="timer")


def test_a_broken_catalogue_is_refused_and_the_one_before_stays(
    supervisor: Supervised, catalog: Path
) -> None:
    text, began = catalog.read_text(), supervisor.metric(f"{_SUCCESS}_timestamp_seconds")
    assert 1 == supervisor.metric(_SUCCESS)
    assert abs(time.time() - began) < 60
    catalog.write_text(_CLOCK + text)  # before [jobs]
    eventually(lambda: 0 == supervisor.metric(_SUCCESS), within=_SECONDS)
    (told,) = supervisor.events("catalog.refused")
    assert f"{catalog}: clock: is not a key of the catalogue; it may have" in told["reason"]
    assert began == supervisor.metric(f"{_SUCCESS}_timestamp_seconds")
    assert Response() == supervisor.launch("timer", "a")
    assert 404 == supervisor.launch("clock", "c-1").error.code
    catalog.write_text(text + _CLOCK)
    assert supervisor.process
    supervisor.process.send_signal(signal.SIGHUP)
    eventually(lambda: 1 == supervisor.metric(_SUCCESS), within=_SECONDS)
    assert began < supervisor.metric(f"{_SUCCESS}_timestamp_seconds")
    assert Response() == supervisor.launch("clock", "c-1")


def test_launches_go_on_while_the_catalogue_changes_all_the_time(
    supervisor: Supervised, catalog: Path
) -> None:
    text, newer = catalog.read_text(), catalog.with_name("newer.toml")
    assert supervisor.process
    with ThreadPoolExecutor(4) as pool:
        launches = [pool.submit(supervisor.launch, "timer", f"t-{n}") for n in range(20)]
        for pids in count(10):
            newer.write_text(f"{text}\n[images.'{worker.IMAGE}']\npids = {pids}")
            newer.replace(catalog)
            supervisor.process.send_signal(signal.SIGHUP)
            if all(launch.done() for launch in launches):
                break
            time.sleep(0.02)
    assert [Response()] * 20 == [launch.result() for launch in launches]
    assert 20 == len(supervisor.running())
    assert [*supervisor.events("catalog.read")]
    assert [] == [*supervisor.events("catalog.refused")]
    assert 0 == supervisor.stop()


def test_what_the_access_file_says_of_jobs_is_compared_with_the_new_catalogue(
    start: Start, catalog: Path, tmp_path: Path
) -> None:
    """Both files change at once, as two of one ConfigMap do."""
    access, text = tmp_path / "access.toml", catalog.read_text()
    anonymous = '[anonymous]\nrole = "operator"\njobs = ["timer", {}]\n'
    access.write_text(anonymous.format('"weather"'))
    supervised = start(ACCESS_FILE=str(access), BIND_ADDRESS="127.0.0.1")
    catalog.write_text(text + _CLOCK)
    access.write_text(anonymous.format('"clock"'))
    eventually(lambda: 2 == len([*supervised.events("access.read")]), within=_SECONDS)
    eventually(lambda: 1 == _read(supervised), within=_SECONDS)
    assert [] == [*supervised.events("access.no_such_job")]
    assert Response() == supervised.launch("clock", "c-1")
    catalog.write_text(text)
    (told,) = eventually(lambda: [*supervised.events("access.no_such_job")], within=_SECONDS)
    assert ("anonymous", "clock") == (told["client"], told["pattern"])


def test_each_image_of_a_catalogue_is_looked_for_on_the_engine(
    engine: PrivateEngine, catalog: Path, tmp_path: Path
) -> None:
    settings = {"DOCKER_HOST": engine.host, "JOB_CATALOG": str(catalog)}
    ended = run_command(tmp_path, settings, "catalog", "check")
    assert 3 == ended.returncode, ended.stdout
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in ended.stdout.splitlines()]
    images = Counter(entry.image for entry in load_catalog(catalog).values())
    assert [
        ["supervisor-test-no-such-image", "1", "missing"],
        [worker.IMAGE, str(images[worker.IMAGE]), "there"],
    ] == [row for row in rows if row]
    there = tmp_path / "there.toml"
    there.write_text(f"[jobs]\nx = {{ kind = 'action', image = '{worker.IMAGE}:latest' }}")
    assert 0 == run_command(tmp_path, settings, "catalog", "check", str(there)).returncode
