"""An Engine that has locked itself out is told from one that works, hangs, or is gone."""

import docker
import pytest

from scripts.private_engine import PrivateEngine
from tests.support import containers, lockout

_LOCKED_OUT = """\
goroutine 71 [semacquire, 3 minutes]:
github.com/docker/docker/vendor/github.com/docker/libnetwork.(*network).getSvcRecords(0xc000b1)
goroutine 18 [semacquire, 3 minutes]:
github.com/docker/docker/vendor/github.com/docker/libnetwork.(*controller).processEndpointDelete(0)
"""


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.lockout._ANSWER_SECONDS", 1)
    monkeypatch.setattr("scripts.engine_folder._ACCOUNT_SECONDS", 1.0)


def test_an_engine_that_works_is_left_alone(
    engine: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    container = containers.stranger(docker_client, "stays")
    assert not lockout.mended(engine)
    assert not lockout.is_account_of_it(engine.goroutines())
    assert containers.runs(container)
    container.remove(force=True)


@pytest.mark.usefixtures("patience")
def test_an_engine_that_hangs_gives_no_account(engine: PrivateEngine) -> None:
    engine.freeze()
    try:
        assert not lockout.mended(engine)
    finally:
        engine.thaw()
    assert "goroutine 1 " in engine.goroutines()


def test_an_engine_that_is_gone_is_not_locked_out(engine: PrivateEngine) -> None:
    engine.kill()
    try:
        assert not lockout.mended(engine)
        assert "" == engine.goroutines()
    finally:
        engine.start()


def test_an_engine_that_is_locked_out_is_a_new_and_empty_one_then(
    engine: PrivateEngine, docker_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault itself takes minutes to bring about, if it comes: see docs/reliability.md."""
    containers.stranger(docker_client, "is-in-the-way")
    monkeypatch.setattr(lockout, "_tells_its_networks", lambda _: False)
    assert not lockout.mended(engine)
    monkeypatch.setattr(engine, "goroutines", lambda: _LOCKED_OUT)
    assert lockout.mended(engine)
    assert [] == containers.everything(docker_client)
