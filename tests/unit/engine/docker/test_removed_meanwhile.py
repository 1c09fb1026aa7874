"""What Engines answer about a container that exits or is removed at that moment."""

from typing import Any

import pytest

from observability.redaction.redactor import NO_SECRETS
from service.engine.docker.engine import DockerEngine
from service.engine.workload_spec import Confinement, SecretFile, WorkloadSpec
from service.errors import EngineFailed, EngineRefused, NoSuchWorkload
from tests.unit.engine.docker.test_parsing import ID, INSPECTED, Answers, body, changed, engine

NO_FILES = {"message": f"RWLayer of container {ID} is unexpectedly nil"}
INFO = {"MemTotal": 2**33}
PREDECESSOR = {**INSPECTED, "Name": "/a-1", "Image": "sha256:f2", "HostConfig": {}}


def _engine(answers: Answers) -> DockerEngine:
    """An Engine with these answers, besides those to what is asked about it."""

    def answer(method: str, path: str) -> tuple[int, bytes]:
        return (200, body(INFO)) if path.endswith("/info") else answers(method, path)

    return engine(answer)


def _errors(one: DockerEngine) -> float:
    samples = (s for f in one._calls._metrics.registry.collect() for s in f.samples)
    return sum(s.value for s in samples if s.name == "supervisor_engine_errors_total")


async def test_one_that_is_removed_uses_nothing() -> None:
    one = _engine(lambda *_: (200, b""))
    assert {} == await one.stats([ID], timeout=1)
    assert 0 == _errors(one)


async def test_one_that_exits_uses_nothing() -> None:
    one = _without_stats("exited")
    assert {} == await one.stats([ID], timeout=1)
    assert 0 == _errors(one)


async def test_a_failure_to_tell_what_one_uses_that_runs_is_told() -> None:
    one = _without_stats("running")
    with pytest.raises(EngineFailed, match="is stopped"):
        await one.stats([ID], timeout=1)
    assert 1 == _errors(one)


def _without_stats(status: str) -> DockerEngine:
    """Podman's words."""
    seen = changed(INSPECTED, ("State", "Status"), status)
    words = f"cannot get cgroup path unless container {ID} is running: container is stopped"
    failure = {"message": f"failed to obtain Container {ID} stats: {words}"}
    return _engine(lambda _, path: (200, body(seen)) if "/json" in path else (500, body(failure)))


async def test_the_file_of_one_that_is_removed_is_gone() -> None:
    one = _without_files("removing")
    assert one.capabilities.read_file
    with pytest.raises(NoSuchWorkload):
        await one.capabilities.read_file(ID)
    assert 0 == _errors(one)


async def test_a_failure_to_read_the_file_of_one_that_stays_is_told() -> None:
    one = _without_files("running")
    assert one.capabilities.read_file
    with pytest.raises(EngineFailed, match="RWLayer"):
        await one.capabilities.read_file(ID)
    assert 1 == _errors(one)


def _without_files(status: str) -> DockerEngine:
    seen = changed(INSPECTED, ("State", "Status"), status)
    return _engine(lambda _, path: (200, body(seen)) if "/json" in path else (500, body(NO_FILES)))


async def test_a_launch_whose_user_is_looked_up_may_be_tried_again() -> None:
    def answers(_: str, path: str) -> tuple[int, bytes]:
        if path.endswith("/create"):
            return 201, body({"Id": ID})
        if path.endswith("/archive"):
            return 500, body(NO_FILES)
        return 200, body(changed(INSPECTED, ("State", "Status"), "removing"))

    secret = SecretFile("a-1", "t0ken")
    spec = WorkloadSpec(
        name="a-1", image="x", arguments=(), secret=secret, confinement=Confinement(user="area")
    )
    with pytest.raises(EngineFailed, match=r"upload for a-1: .* is being removed"):
        await _engine(answers).start(spec, timeout=5)


@pytest.mark.parametrize(
    ("status", "words", "again"),
    [
        (404, f"No such container: {ID}", True),
        (409, "container is marked for removal and cannot be started", True),
        (404, "network nowhere not found", False),
    ],
)
async def test_a_successor_that_is_removed_before_its_start_is_made_again(
    status: int, words: str, *, again: bool
) -> None:
    def answers(_: str, path: str) -> tuple[int, bytes]:
        if path.endswith("/start"):
            return status, body({"message": words})
        if path.endswith("/create"):
            return 201, body({"Id": "c" * 64})
        known: Any = {"Id": "sha256:f2"} if "/images/" in path else PREDECESSOR
        return 200, body(known)

    one = _engine(answers)
    with pytest.raises(EngineRefused, match=words) as caught:
        await one.start_successor(ID, {}, redact=lambda _: NO_SECRETS, timeout=5)
    assert again is isinstance(caught.value, EngineFailed)


async def test_what_is_being_removed_gets_no_successor_and_is_gone() -> None:
    one = _engine(lambda *_: (200, body(changed(PREDECESSOR, ("State", "Status"), "removing"))))
    with pytest.raises(NoSuchWorkload):
        await one.start_successor(ID, {}, redact=lambda _: NO_SECRETS, timeout=5)
    assert 0 == _errors(one)
