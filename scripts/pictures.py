"""`make pictures`: draws the dashboards and the console as they look after minutes of real work.

A supervisor on a private Engine, requests of all sorts, an Engine that is away for a moment, and a
Prometheus that sees it all: what it answers to the panels' own queries is what is drawn.
"""

import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from signal import SIGKILL

import docker
import grpc

from dashboards.reading import FILES
from scripts import browser, console_pictures, drawing
from scripts.ports import free_port
from scripts.private_engine import PrivateEngine, ensure_installed
from scripts.progress import PrerequisiteError, say, step
from tests.support import containers, worker
from tests.support.line import Line, a_line
from tests.support.prometheus import Prometheus
from tests.support.supervised import Supervised

_IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
_SECONDS = 150.0
_AWAY = (90.0, 97.0)  # while the Engine cannot be reached
_ORPHANED = 70.0  # when an orphan appears
_ORPHAN = containers.labels_of_another("default", "was-never-started")
_SCRAPE = 2.0
_CONSOLE = free_port()
_CATALOG = f"""
[jobs]
timer-seconds-interval = {{ kind = "action", image = "{worker.IMAGE}" }}
discord-on-guild-join = {{ kind = "action", image = "{worker.IMAGE}" }}
weather-fetch-weather = {{ kind = "action", image = "{worker.IMAGE}" }}
github-on-commit = {{ kind = "action", image = "{worker.IMAGE}", ends = true }}
google-send-email = {{ kind = "reaction", image = "{worker.IMAGE}" }}
google-create-draft-email = {{ kind = "reaction", image = "{worker.IMAGE}", memory = "16m" }}
notion-create-page = {{ kind = "reaction", image = "supervisor-notion-is-not-built" }}
"""
_ACTIONS = ("timer-seconds-interval", "discord-on-guild-join", "weather-fetch-weather")


def main() -> int:
    """Run the load, and draw."""
    try:
        ensure_installed()
        browser.ensure_installed()
        with ExitStack() as stack:
            _work_and_draw(stack)
    except PrerequisiteError as error:
        print(f"No pictures could be made. {error}", file=sys.stderr)
        return 1
    return 0


def _work_and_draw(stack: ExitStack) -> None:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    with step("Starting a private Docker Engine"):
        engine = stack.enter_context(PrivateEngine())
        client = stack.enter_context(closing(docker.DockerClient(engine.host)))
        worker.make(client)
    line = stack.enter_context(a_line(directory / "engine.sock", engine.socket))
    supervised = stack.enter_context(_supervised(directory, line))
    _leave_orphans(supervised)
    target = f"127.0.0.1:{supervised.metrics_port}"
    prometheus = stack.enter_context(Prometheus(directory, target, interval=f"{_SCRAPE:g}s"))
    began = time.time()
    with step(f"Working for {_SECONDS:g} s"):
        _work(supervised, line, client)
    console = f"http://127.0.0.1:{_CONSOLE}"
    for picture in console_pictures.take(console, _IMAGES):
        say(f"{picture.name} has {picture.stat().st_size // 1000} kB")
    for file in FILES:
        picture = _IMAGES / f"{file.stem}.png"
        with step(f"Drawing {picture.name}"):
            drawing.draw(file, prometheus, (began, time.time()), _SCRAPE, picture)
        say(f"{picture.name} has {picture.stat().st_size // 1000} kB")


def _supervised(directory: Path, line: Line) -> Supervised:
    (directory / "catalog.toml").write_text(_CATALOG, encoding="utf-8")
    settings = {
        "DOCKER_HOST": line.host,
        "JOB_CATALOG": str(directory / "catalog.toml"),
        "JOB_STOP_GRACE_SECONDS": "2",
        "CONSOLE_PORT": str(_CONSOLE),
    }
    return Supervised(directory, settings)


def _leave_orphans(supervised: Supervised) -> None:
    """Two containers whose supervisor has died, for the next one to clean up."""
    for identifier in ("left-1", "left-2"):
        supervised.launch(_ACTIONS[0], identifier)
    supervised.stop(SIGKILL)
    supervised.start()


def _work(supervised: Supervised, line: Line, client: docker.DockerClient) -> None:
    began = time.monotonic()
    over = threading.Event()
    acts: Mapping[float, Callable[[], object]] = {
        _ORPHANED: lambda: client.containers.create(worker.IMAGE, labels=_ORPHAN),
        _AWAY[0]: line.cut,
        _AWAY[1]: line.mend,
        _SECONDS: over.set,
    }
    with ThreadPoolExecutor(5) as pool:
        working = [pool.submit(_Backend(supervised, seed).work, over) for seed in range(4)]
        working.append(pool.submit(_orchestrate, supervised, over))
        for moment, act in acts.items():
            time.sleep(began + moment - time.monotonic())
            act()
        for each in working:
            each.result()


def _orchestrate(supervised: Supervised, over: threading.Event) -> None:
    """Ask for health, as an orchestrator does."""
    while not over.wait(2):
        supervised.is_ready()


class _Backend:
    """Requests in waves, most of which succeed."""

    def __init__(self, supervised: Supervised, seed: int) -> None:
        self._supervised = supervised
        self._chance = random.Random(seed)  # noqa: S311 - not for a secret

    def work(self, over: threading.Event) -> None:
        """Send one request after the other."""
        acts: dict[Callable[[], object], int] = {
            self._launch: 12,
            self._kill: 5,
            self._supervised.jobs: 4,
            lambda: self._run("google-send-email", exit=0): 6,
            lambda: self._run("github-on-commit", exit=0): 3,
            lambda: self._run("google-send-email", exit=1): 1,
            lambda: self._run("timer-seconds-interval", exit=0): 1,
            lambda: self._run("google-create-draft-email", eat=1): 1,
            lambda: self._run("notion-create-page"): 1,
            lambda: self._run("no-such-job"): 1,
            self._kill_a_stubborn_one: 1,
            self._hang_up: 1,
        }
        while not over.wait(self._chance.expovariate(2.5) * self._wave()):
            self._chance.choices(list(acts), list(acts.values()))[0]()

    def _wave(self) -> float:
        """Some minutes are busier than others."""
        return 0.6 if time.monotonic() % 50 < 25 else 1.6  # noqa: PLR2004

    def _launch(self) -> None:
        name = self._chance.choice(_ACTIONS)
        self._supervised.launch(name, f"{name}-{self._chance.randrange(6)}")

    def _hang_up(self) -> None:
        """A client that does not wait for the answer."""
        with suppress(grpc.RpcError):
            self._supervised.launch("google-send-email", "impatient", {"exit": 0}, timeout=0.05)

    def _kill(self) -> None:
        name = self._chance.choice(_ACTIONS)
        self._supervised.kill(f"{name}-{self._chance.randrange(8)}")

    def _run(self, name: str, **params: int) -> str:
        identifier = f"{name}-{self._chance.getrandbits(32):x}"
        self._supervised.launch(name, identifier, params)
        return identifier

    def _kill_a_stubborn_one(self) -> None:
        self._supervised.kill(self._run("weather-fetch-weather", stubborn=1))


if __name__ == "__main__":
    sys.exit(main())
