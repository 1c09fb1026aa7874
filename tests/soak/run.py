"""A private Engine, one supervisor, and a soak of it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import cycle
from pathlib import Path

import docker

from scripts.private_engine import PrivateEngine
from tests.soak.soak import Soak
from tests.support import catalog, worker
from tests.support.supervised import Supervised, eventually
from tests.support.surroundings import Surroundings, surroundings
from tests.support.tap import Trouble

_DROPPED = "supervisor_log_lines_dropped_total"
_EACH = 1.0  # how long a trouble takes, and the time after it (seconds)


def soak(
    directory: Path, *, duration: float, cycles: int, sampled_every: float, rough: bool = False
) -> Soak:
    """A soak that is over, with its samples.

    In a rough one the supervisor may have 32 threads and 128 open files, and now none on top of
    what it has, now nobody who reads its log.
    """
    (directory / "catalog.toml").write_text(catalog.TEXT)
    with PrivateEngine() as engine, closing(docker.DockerClient(engine.host)) as client:
        worker.make(client)
        settings = {
            "DOCKER_HOST": engine.host,
            "JOB_CATALOG": str(directory / "catalog.toml"),
            "LOG_LEVEL": "info",
        }
        begun = _in_rough_surroundings if rough else Supervised
        with begun(directory, settings) as supervised:
            over = Soak(supervised, client, duration=duration, cycles=cycles)
            over.run(sampled_every=sampled_every)
    return over


@contextmanager
def _in_rough_surroundings(directory: Path, settings: dict[str, str]) -> Iterator[Supervised]:
    supervised = Supervised(directory, settings)
    with surroundings() as around, closing(supervised.channel):
        with around.output(directory / "rough.log", full=False) as output:
            supervised.popen = {"stdout": output}
            process = supervised.start(ready=False).process
        assert process is not None
        around.hold(process.pid, poor=True)
        eventually(supervised.is_ready, within=30)
        try:
            with _troubles(around, process.pid):
                yield supervised
            assert supervised.metric(_DROPPED)
            eventually(lambda: _told(around, supervised))
        finally:
            supervised.__exit__(None, None, None)


@contextmanager
def _troubles(around: Surroundings, pid: int) -> Iterator[None]:
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(_make_trouble, around, pid, over)
        try:
            yield
        finally:
            over.set()
        made.result()


def _make_trouble(around: Surroundings, pid: int, over: threading.Event) -> None:
    kinds: tuple[Trouble | None, ...] = ("sleeps", "goes", None)
    for kind in cycle(kinds):
        if over.wait(_EACH):
            return
        if kind is None:
            end = around.begin_shortage("threads", pid)
            over.wait(_EACH)
            end()
        else:
            assert around.tap is not None
            with around.tap.trouble(kind):
                over.wait(_EACH)


def _told(around: Surroundings, supervised: Supervised) -> bool:
    """Whether the log tells of each line that it lacks."""
    supervised.kill("nobody")  # with the next line it does
    return around.dropped_lines_told() == supervised.metric(_DROPPED)
