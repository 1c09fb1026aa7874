"""An Engine of its own, one supervisor, and a soak of it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TypeAlias

import docker

from tests.chaos.odd import odd_answers
from tests.soak.soak import Soak
from tests.support import catalog, swarm, worker
from tests.support.http_line import HttpLine, Rewrite, an_http_line, untouched
from tests.support.supervised import Supervised, eventually
from tests.support.surroundings import Means, Surroundings, surroundings

_DROPPED = "supervisor_log_lines_dropped_total"
_EACH = 1.0  # how long a trouble takes, and the time after it (seconds)
# A launch and a kill need no answer of the kind that is made odd, so many may be.
_ODD_SHARE = 0.5


def soak(
    directory: Path, *, duration: float, cycles: int, sampled_every: float, rough: bool = False
) -> Soak:
    """A soak that is over, with its samples.

    In a rough one the supervisor may have 32 threads and 128 open files. For a second each, nobody
    reads its log, it gets no further thread, it gets no further file, and the Engine answers oddly.
    """
    (directory / "catalog.toml").write_text(catalog.TEXT)
    with swarm.chosen() as engine, closing(docker.DockerClient(engine.host)) as client:
        worker.make(client)
        settings = {
            "DOCKER_HOST": engine.host,
            "JOB_CATALOG": str(directory / "catalog.toml"),
            "LOG_LEVEL": "info",
        }
        begun: AbstractContextManager[Supervised] = (
            _in_rough_surroundings(directory, settings, engine.socket)
            if rough
            else Supervised(directory, settings)
        )
        with begun as supervised:
            over = Soak(supervised, client, duration=duration, cycles=cycles)
            over.run(sampled_every=sampled_every)
    return over


@contextmanager
def _in_rough_surroundings(
    directory: Path, settings: dict[str, str], socket: Path
) -> Iterator[Supervised]:
    with surroundings() as around, an_http_line(directory / "engine.sock", socket) as line:
        supervised = Supervised(directory, settings | {"DOCKER_HOST": line.host})
        with around.output(directory / "rough.log", full=False) as output:
            supervised.popen = {"stdout": output}
            process = supervised.start(ready=False).process
        assert process is not None
        around.hold(process.pid, poor=True)
        eventually(supervised.is_ready, within=30)
        try:
            with _troubles(_kinds(around, line, process.pid)):
                yield supervised
            assert supervised.metric(_DROPPED)
            assert line.rewritten
            eventually(lambda: _told(around, supervised))
        finally:
            supervised.__exit__(None, None, None)


Kind: TypeAlias = Callable[[], AbstractContextManager[None]]


@contextmanager
def _troubles(kinds: Sequence[Kind]) -> Iterator[None]:
    """Make one trouble after another; AssertionError if a kind never came."""
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(_make_trouble, kinds, over)
        try:
            yield
        finally:
            over.set()
        assert made.result() >= len(kinds)


def _make_trouble(kinds: Sequence[Kind], over: threading.Event) -> int:
    """How many troubles there were."""
    for number, kind in enumerate(cycle(kinds)):
        if over.wait(_EACH):
            return number
        with kind():
            over.wait(_EACH)
    return 0


def _kinds(around: Surroundings, line: HttpLine, pid: int) -> list[Kind]:
    assert around.tap is not None
    return [
        partial(around.tap.trouble, "sleeps"),
        partial(around.tap.trouble, "goes"),
        partial(_shortage, around, "threads", pid),
        partial(_shortage, around, "files", pid),
        partial(_odd_answers, line, odd_answers(0, _ODD_SHARE)),
    ]


@contextmanager
def _shortage(around: Surroundings, of: Means, pid: int) -> Iterator[None]:
    end = around.begin_shortage(of, pid)
    try:
        yield
    finally:
        end()


@contextmanager
def _odd_answers(line: HttpLine, rewrite: Rewrite) -> Iterator[None]:
    line.rewrite = rewrite
    try:
        yield
    finally:
        line.rewrite = untouched


def _told(around: Surroundings, supervised: Supervised) -> bool:
    """Whether the log tells of each line that it lacks."""
    supervised.kill("nobody")  # with the next line it does
    return around.dropped_lines_told() == supervised.metric(_DROPPED)
