"""An Engine that has locked itself out is told from one that works, hangs, or is gone."""

import re
import subprocess
import sys
from pathlib import Path

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
            hasty.setattr("scripts.engine_folder._DUMP_SECONDS", 1.0)
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
    with monkeypatch.context() as said:
        said.setattr(engine, "goroutines", lambda: _dump(_OTHER, _WATCHER, _WAITS))
        lockout.tell_apart(request.node, engine, failure)  # a moment's wait, and it answers
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


_ROOT = Path(__file__).parents[2]
# What each of the tests below is given, and where it fails the first time. An Engine that tells
# nothing of its networks, and gives the account of a lockout, once.
_CONFTEST = """\
from tests.conftest import *
from tests.conftest import PrivateEngine, lockout

real = lockout.account_of

def once(engine):
    lockout.account_of = real
    return "both of them wait"

@pytest.fixture(params=["setup", "call", "teardown", "elsewhere"])
def place(request, engine, seen=[]):
    def fail(here):
        if here != request.param or here in seen:
            return
        seen.append(here)
        if here != "elsewhere":
            lockout.account_of = once
        raise ValueError(here)
    fail("setup")
    yield fail
    fail("teardown")
"""
_TEST = """\
def test(place):
    place("call")
    place("elsewhere")
"""


def test_what_fails_on_such_an_engine_is_run_again_and_nothing_else(tmp_path: Path) -> None:
    """With the hooks of our conftest, and with the options that `make test` has."""
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "test_it.py").write_text(_TEST)
    found = re.search(r"^RERUN := (.*)$", (_ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", *found[1].split()]
    run = subprocess.run(
        [*command, str(tmp_path)], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    for place in ("setup", "call", "teardown"):
        assert re.search(rf"^RERUN .*test_it.py::test\[{place}\]", run.stdout, re.MULTILINE)
    assert re.search(r"^FAILED .*test_it.py::test\[elsewhere\]", run.stdout, re.MULTILINE)
    assert re.search(r" 1 failed, 4 passed, 3 rerun in ", run.stdout), run.stdout
    assert "EngineLockedOutError: both of them wait" in run.stdout
