"""An Engine that has locked itself out is told from one that works, hangs, or is gone."""

import docker
import pytest

from scripts.private_engine import PrivateEngine
from tests.support import containers, lockout

_HANDLER = """\
goroutine 71 [{state}]:
github.com/docker/docker/vendor/github.com/docker/libnetwork.(*network).getSvcRecords(0xc000b1)
"""
_WATCHER = """\
goroutine 18 [semacquire, 3 minutes]:
github.com/docker/docker/vendor/github.com/docker/libnetwork.(*controller).processEndpointDelete(0)
"""
_OTHER = """\
goroutine 1 [chan receive, 5 minutes]:
main.(*DaemonCli).start(0xc0006b)
"""
_WAITS = _HANDLER.format(state="semacquire, 3 minutes")
_RUNS = _HANDLER.format(state="running")


def _dump(*stacks: str) -> str:
    return "\n".join(stacks)


def test_both_of_them_have_to_wait() -> None:
    said = lockout.excerpt(_dump(_OTHER, _WATCHER, _WAITS))
    assert "getSvcRecords" in said
    assert "processEndpointDelete" in said
    assert "DaemonCli" not in said
    for dump in (_dump(_OTHER, _WAITS), _dump(_OTHER, _WATCHER), _dump(_WATCHER, _RUNS), ""):
        assert "" == lockout.excerpt(dump)


def test_an_engine_that_works_is_left_alone(
    engine: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    assert "" == lockout.account_of(engine)
    goroutines = engine.goroutines()
    assert "goroutine 1 " in goroutines
    assert "" == lockout.excerpt(goroutines)
    assert docker_client.ping()


def test_an_engine_that_hangs_gives_no_account(
    engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.freeze()
    try:
        with monkeypatch.context() as hasty:
            hasty.setattr(lockout, "_ANSWER_SECONDS", 1)
            hasty.setattr("scripts.engine_folder._ACCOUNT_SECONDS", 1.0)
            assert "" == lockout.account_of(engine)
            assert "" == engine.goroutines()
    finally:
        engine.thaw()
    assert "goroutine 1 " in engine.goroutines()


def test_an_engine_that_is_gone_is_not_locked_out(engine: PrivateEngine) -> None:
    engine.kill()
    try:
        assert "" == lockout.account_of(engine)
        assert "" == engine.goroutines()
    finally:
        engine.start()


def test_an_engine_that_is_locked_out_is_restarted_and_the_failure_told_apart(
    engine: PrivateEngine,
    docker_client: docker.DockerClient,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """The fault itself takes minutes to bring about, if it comes: see docs/reliability.md."""
    container = containers.stranger(docker_client, "is-in-the-way")
    failure = ValueError("whatever")
    lockout.tell_apart(request.node, engine, failure)
    assert containers.runs(container)
    monkeypatch.setattr(lockout, "_tells_its_networks", lambda _: False)
    lockout.tell_apart(request.node, engine, failure)
    assert containers.runs(container)
    monkeypatch.setattr(engine, "goroutines", lambda: _dump(_OTHER, _WATCHER, _WAITS))
    with pytest.raises(lockout.EngineLockedOutError, match="getSvcRecords") as raised:
        lockout.tell_apart(request.node, engine, failure)
    assert failure is raised.value.__cause__
    assert not containers.runs(container)
    lockout.clean_up(engine)
    assert [] == containers.everything(docker_client)
