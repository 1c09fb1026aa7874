"""Containers of ours that are nobody's job: found, left alone for a while, and removed."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import docker
from docker.models.containers import Container

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers, worker
from tests.support.agreement import agree, compare
from tests.support.http_line import Fault, HttpLine, requests, untouched
from tests.support.line import Line
from tests.support.supervised import Supervised, eventually

_GRACE = 2.0


def _created(client: docker.DockerClient, identifier: str, instance: str = "default") -> Container:
    """A container that was never started."""
    labels = containers.labels_of_another(instance, identifier)
    return client.containers.create(
        worker.IMAGE, name=identifier, labels=labels, network_mode="host", init=True
    )


def _await_orphans(supervised: Supervised, count: int) -> None:
    """They are looked for, and removed, beside everything else."""
    eventually(lambda: count == supervised.metric("supervisor_orphans"))


def _told(supervised: Supervised, event: str) -> list[dict[str, Any]]:
    return list(supervised.events(event))


def _at(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def test_an_orphan_is_removed_once_it_has_had_its_grace_and_nothing_else_is(
    start: Start, line: Line, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=line.host, ORPHAN_GRACE_SECONDS=str(_GRACE))
    assert Response() == supervised.launch("timer", "t-1")
    orphan = _created(docker_client, "orphan")
    theirs = _created(docker_client, "theirs", "another")
    stranger = docker_client.containers.create(worker.IMAGE, name="stranger")
    compare(supervised, line)
    _await_orphans(supervised, 1)
    assert containers.exists(orphan)
    time.sleep(_GRACE)
    compare(supervised, line)
    eventually(lambda: _told(supervised, "janitor.removed"), within=30)
    assert not containers.exists(orphan)
    (found,), (removed,) = (_told(supervised, e) for e in ("orphan.found", "janitor.removed"))
    for told in (found, removed):
        assert ("timer", "orphan") == (told["job"], told["identifier"])
        assert ("orphan", "created") == (told["container_name"], told["status"])
    assert _at(removed) - _at(found) > _GRACE - 0.1
    compare(supervised, line)
    _await_orphans(supervised, 0)
    assert 1 == supervised.metric("supervisor_orphans_removed_total")
    assert containers.exists(theirs)
    assert containers.exists(stranger)
    assert ["t-1"] == supervised.running() == containers.live(docker_client)


def test_a_dry_run_tells_of_orphans_and_removes_none(
    start: Start, line: Line, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=line.host, ORPHAN_GRACE_SECONDS="0", ORPHAN_DRY_RUN="true")
    orphan = _created(docker_client, "orphan")
    for _ in range(2):
        compare(supervised, line)
    assert containers.exists(orphan)
    _await_orphans(supervised, 1)
    assert 0 == supervised.metric("supervisor_orphans_removed_total")
    assert ["orphan"] == [each["container_name"] for each in _told(supervised, "orphan.found")]


def test_what_development_keeps_is_no_orphan(
    start: Start, line: Line, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=line.host, GO_ENV="development", ORPHAN_GRACE_SECONDS="0")
    assert Response() == supervised.launch("timer", "exited", {"exit": 1})
    assert Response() == supervised.launch("timer", "killed")
    assert Response() == supervised.kill("killed")
    eventually(supervised.is_idle)
    orphan = _created(docker_client, "orphan")
    compare(supervised, line)
    eventually(lambda: not containers.exists(orphan))  # removals go on in the background
    assert "exited" == containers.one(docker_client, "exited").status
    assert "exited" == containers.one(docker_client, "killed").status
    assert ["orphan"] == [each["container_name"] for each in _told(supervised, "orphan.found")]


def test_what_is_started_meanwhile_is_a_job_and_no_orphan(
    start: Start, line: Line, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=line.host, ORPHAN_GRACE_SECONDS=str(_GRACE))
    late = _created(docker_client, "late")
    compare(supervised, line)
    _await_orphans(supervised, 1)
    late.start()
    eventually(lambda: ["late"] == supervised.running())
    assert 1 == supervised.metric("supervisor_adoptions_total", job_name="timer")

    def has_had_its_grace() -> bool:
        compare(supervised, line)
        (found,) = _told(supervised, "orphan.found")
        (*_, latest) = _told(supervised, "engine.in_step")
        return _at(latest) - _at(found) > _GRACE + 1

    eventually(has_had_its_grace, within=30)
    assert containers.runs(late)
    _await_orphans(supervised, 0)
    assert Response() == supervised.launch("timer", "late")
    assert Response() == supervised.kill("late")
    agree(supervised, docker_client)


def test_what_a_crash_between_create_and_start_has_left_is_found_and_removed(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(
        DOCKER_HOST=meddled.host, SUPERVISOR_ON_START="adopt", ORPHAN_GRACE_SECONDS=str(_GRACE)
    )
    meddled.meddle = requests("POST", "/start", Fault.LOST)
    with ThreadPoolExecutor(1) as pool:
        launch = pool.submit(supervised.launch, "mail", "m-1")
        eventually(lambda: meddled.faults[Fault.LOST])
        supervised.stop(signal.SIGKILL)
        assert launch.exception()
    meddled.meddle = untouched
    supervised.start()
    assert "created" == containers.one(docker_client, "m-1").status
    _await_orphans(supervised, 1)

    def is_gone() -> bool:
        compare(supervised, meddled)
        return [] == containers.everything(docker_client)

    eventually(is_gone, within=30)
    assert [] == supervised.running()
