"""One private Docker Engine for the whole run, and supervisors on it."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

import docker
import hypothesis
import pytest

from scripts.private_engine import PrivateEngine, ensure_installed
from tests.support import catalog as catalog_of_tests
from tests.support import (
    containers,
    exclusions,
    lockout,
    needs,
    own_folder,
    schedule,
    swarm,
    worker,
)
from tests.support.supervised import Supervised

# How long an example takes says nothing on a machine that does several things at once. The same
# examples each time: what fails for somebody has to fail for everybody.
hypothesis.settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # a busy machine is no failure
)
hypothesis.settings.load_profile("default")


_ENGINE = pytest.StashKey[PrivateEngine]()
_FAILED = pytest.StashKey[int]()


class Start(Protocol):
    """Starts a supervisor on the private Engine; variables are settings.

    `popen` is a mapping for `subprocess.Popen`: what the process inherits.
    """

    def __call__(
        self, *, ready: bool = True, popen: Any = None, **environment: str
    ) -> Supervised: ...


@pytest.fixture(scope="session")
def engine(pytestconfig: pytest.Config) -> Iterator[PrivateEngine]:
    """The Engine of the tests, which they may stop and kill, if they start it again."""
    ensure_installed()
    with swarm.chosen() as private:
        pytestconfig.stash[_ENGINE] = private
        with closing(docker.DockerClient(private.host)) as client:
            worker.make(client)
        yield private


@pytest.fixture(scope="session")
def docker_client(engine: PrivateEngine) -> Iterator[docker.DockerClient]:
    """A client of our own, to see what is really there."""
    with closing(containers.Client(engine.host)) as client:
        yield client


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """The tests' catalogue."""
    path = tmp_path / "catalog.toml"
    path.write_text(catalog_of_tests.TEXT)
    return path


@pytest.fixture
def start(
    engine: PrivateEngine, catalog: Path, tmp_path: Path, docker_client: docker.DockerClient
) -> Iterator[Start]:
    """A function that starts supervisors; they and every container are gone afterwards."""
    with ExitStack() as stack:

        def start_one(*, ready: bool = True, popen: Any = None, **environment: str) -> Supervised:
            settings = {"DOCKER_HOST": engine.host, "JOB_CATALOG": str(catalog)} | environment
            supervised = Supervised(tmp_path, settings, **(popen or {}))
            stack.push(supervised)
            return supervised.start(ready=ready)

        yield start_one
    containers.remove_everything(docker_client)


@pytest.fixture
def supervisor(start: Callable[..., Supervised]) -> Supervised:
    """A ready supervisor in production mode."""
    return start()


@pytest.hookimpl(tryfirst=True)  # pytest reads its option in the same hook
def pytest_configure(config: pytest.Config) -> None:
    own_folder.claim(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    own_folder.release(config, keep=bool(config.stash.get(_FAILED, 0)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[_FAILED] = session.testsfailed


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say where the files of failed tests are."""
    if config.stash.get(_FAILED, 0) and (folder := own_folder.of(config)):
        terminalreporter.write_line(f"What the failed tests have left is in {folder}.")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return schedule.scheduler(config, log)


@pytest.hookimpl(tryfirst=True)  # pytest deselects by markers in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what each test needs, and leave out what the chosen Engine cannot pass."""
    needs.mark(items)
    exclusions.leave_out(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """A failure on an Engine that has locked itself out is told apart, in all three phases."""
    yield from _told_apart(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """As above."""
    yield from _told_apart(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """As above; and what could not be removed is removed now."""
    try:
        yield from _told_apart(item)
    except lockout.EngineLockedOutError:
        lockout.clean_up(item.config.stash[_ENGINE])
        raise


def _told_apart(item: pytest.Item) -> Generator[None, None, None]:
    try:
        yield
    except (Exception, BaseExceptionGroup, pytest.fail.Exception) as failure:
        if _ENGINE in item.config.stash and item.get_closest_marker("engine"):
            lockout.tell_apart(item, item.config.stash[_ENGINE], failure)
        raise
