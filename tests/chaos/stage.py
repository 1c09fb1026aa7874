"""Where a play takes place: a private Engine, the supervisor of the day, and its neighbours."""

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import docker
import docker.errors

from scripts.private_engine import PrivateEngine
from tests.chaos.odd import odd_answers
from tests.chaos.plan import Life
from tests.chaos.watches import Watches
from tests.chaos.witness import Witness
from tests.support import catalog, containers, worker
from tests.support.http_line import HttpLine, untouched
from tests.support.registry import a_local_registry
from tests.support.supervised import Supervised
from tests.support.surroundings import Means, Surroundings, surroundings

INSTANCE = "chaos"
_OURS = {"label": f"{containers.PREFIX}instance={INSTANCE}"}
# The version of Debian's Engine, so that a client need not ask an Engine that may be away.
_API_VERSION = "1.41"
_HANDS_SECONDS = 10
_STOP_SECONDS = 20.0

# Patience that fits rounds of some seconds; an orphan is removed as soon as it is found.
_SETTINGS = {
    "SUPERVISOR_INSTANCE": INSTANCE,
    "JOB_STOP_GRACE_SECONDS": "1",
    "LAUNCH_TIMEOUT_SECONDS": "4",
    "ORPHAN_GRACE_SECONDS": "0",
    "WAIT_SECONDS": "3",
}
# The tests' own, with a job of which one runs at a time while other launches of it wait.
_NARROW = f'kind = "action", image = "{worker.IMAGE}", max_running = 1, when_full = "wait"'
RESTARTS = 4
"""How often a job of the suite's own is started again, at most."""

_RESTART = f'attempts = {RESTARTS}, back_off = "100ms", most = "500ms"'
# Its health check fails for four seconds of twelve, by the clock: whatever is started again then
# fails again, and is given up.
_PROBE = '["/bin/busybox", "sh", "-c", "[ $(( $(/bin/busybox date +%s) / 4 % 3 )) -ne 0 ]"]'
_CATALOG = f"""{catalog.TEXT}
narrow = {{ {_NARROW} }}

[jobs.hardy]
kind = "action"
image = "{worker.IMAGE}"
restart = {{ on = "end", {_RESTART} }}

[jobs.limited]
kind = "action"
image = "{worker.IMAGE}"
time_limit = "2s"
restart = {{ {_RESTART} }}

[jobs.moody]
kind = "action"
image = "{worker.IMAGE}"
restart = {{ unhealthy = true, {_RESTART} }}
healthcheck = {{ command = {_PROBE}, interval = "500ms", retries = 1 }}
"""
# And one whose image has to be pulled now and then.
_FAR = '[jobs.far]\nkind = "action"\nimage = "{}"\npull = "missing"\n'


class Stage:
    """Make it with `a_stage`."""

    def __init__(
        self, engine: PrivateEngine, directory: Path, around: Surroundings, far: str
    ) -> None:
        """`far` is an image in a registry."""
        self.engine = engine
        self.far = far
        self.around = around
        self._changing = threading.Lock()
        self.witness = Witness(engine.host, INSTANCE)
        self.touched: set[str] = set()  # containers that a third party has started again
        self.neighbours: dict[str, str] = {}  # ids by name
        self.lives = 0
        self._began = time.monotonic()
        self._said: deque[str] = deque(maxlen=60)
        self._directory = directory
        self._line = HttpLine(directory / "engine.sock", engine.socket)
        settings = {"DOCKER_HOST": self._line.host, "JOB_CATALOG": str(directory / "catalog.toml")}
        self.supervised = Supervised(directory, _SETTINGS | settings)
        self.watches = Watches(self.supervised)
        self._logs: list[Path] = []
        self._speaking = threading.Lock()

    # What happens

    def say(self, text: str) -> None:
        """Keep what happens, for the message of a violation."""
        with self._speaking:
            self._said.append(f"{time.monotonic() - self._began:8.2f} {text}")

    @property
    def said(self) -> list[str]:
        """The last things that happened."""
        with self._speaking:
            return list(self._said)

    # The Engine

    def answer_oddly(self, seed: float) -> None:
        """From now on, it tells the supervisor odd things now and then."""
        self._line.rewrite = odd_answers(hash(seed))

    def answer_well(self) -> None:
        """From now on, it tells what it says."""
        self._line.rewrite = untouched

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        """A client of one's own: it may have to wait for an Engine that hangs."""
        made = docker.DockerClient(self.engine.host, version=_API_VERSION, timeout=_HANDS_SECONDS)
        with closing(made):
            yield made

    def settle_neighbours(self) -> None:
        """A stranger, and another instance's container, which the Engine keeps running."""
        labels = {
            "stranger": {"app": "somebody's"},
            "of-another-instance": containers.labels_of_another("another", "a"),
        }
        with self.client() as client:
            for name, its in labels.items():
                container = client.containers.create(
                    worker.IMAGE,
                    name=name,
                    labels=its,
                    network_mode="host",
                    init=True,
                    restart_policy={"Name": "always"},
                )
                container.start()
                self.neighbours[name] = str(container.id)

    # The supervisor

    def begin_life(self, life: Life) -> None:
        """Start the supervisor, without waiting for it to be ready."""
        log = self._directory / f"life-{self.lives + 1}.log"
        full = life.log == "a full disk"
        with self._changing, self.around.output(log, full=full) as output:
            self.life = life
            self.lives += 1
            self._logs.append(log)
            self.supervised.log_file = log
            self.supervised.popen = {"stdout": output}
            self.supervised.start(ready=False, SUPERVISOR_ON_START=life.on_start, GO_ENV=life.mode)
            self.around.hold(self._pid(), poor=life.poor)

    def end_life(self, number: signal.Signals) -> None:
        """End the supervisor; AssertionError where it does not end as it should."""
        # Until it heeds a SIGTERM it has touched nothing. It may come to heed it meanwhile.
        expected = {0} if number in self._heeded() else {0, -number}
        if number is signal.SIGKILL:
            expected = {-number}
        code = self.supervised.stop(number, within=_STOP_SECONDS)
        assert code in expected, f"the supervisor ended with {code} and not with {expected}"

    def _pid(self) -> int:
        assert self.supervised.process is not None
        return self.supervised.process.pid

    def _heeded(self) -> set[int]:
        """The signals that the process has a handler for, whatever its log has come to."""
        status = Path(f"/proc/{self._pid()}/status").read_text()
        (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
        return {number for number in signal.valid_signals() if int(caught, 16) >> number - 1 & 1}

    # What it may have

    @contextmanager
    def shortage(self, of: Means) -> Iterator[bool]:
        """None may come on top of what is there; False where nobody listens who could notice.

        A start with too little is refused, and a new life gets what is its due.
        """
        with self._changing:
            begun = self._listens()
            end = self.around.begin_shortage(of, self._pid()) if begun else lambda: None
        try:
            yield begun
        finally:
            with self._changing:
                end()

    def _listens(self) -> bool:
        with suppress(OSError):
            return self.supervised.http("/livez")[0] == HTTPStatus.OK
        return False

    def logs(self) -> Mapping[Path, list[str]]:
        """The lines of each life of this round."""
        return {path: path.read_text().splitlines() for path in self._logs}

    def forget_logs(self) -> None:
        """A new round begins: of earlier lives, only the present one matters."""
        del self._logs[:-1]

    def ours(self, *, all_of_them: bool) -> list[dict[str, Any]]:
        """Our containers as the Engine lists them, but for those that are nowhere else.

        Where a removal meets a restart, Docker 20.10 goes on listing now and then what is gone: as
        "removing", without a name, and an inspect does not find it.
        """
        with self.client() as client:
            found = client.api.containers(all=all_of_them, filters=_OURS)
            return [item for item in found if item["Names"] or _exists(client, item["Id"])]

    # Its end

    def __enter__(self) -> Self:
        (self._directory / "catalog.toml").write_text(_CATALOG + _FAR.format(self.far))
        self.settle_neighbours()
        self.witness.start()
        self.watches.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.witness.stop()
        self.watches.__exit__()
        self.engine.thaw()
        self.supervised.__exit__(None, None, None)
        self._line.cut()


def _exists(client: docker.DockerClient, container_id: str) -> bool:
    with suppress(docker.errors.NotFound):
        client.api.inspect_container(container_id)
        return True
    return False


@contextmanager
def a_stage(directory: Path) -> Iterator[Stage]:
    """A stage of its own, with nothing running on it yet but the neighbours."""
    with ExitStack() as stack:
        engine = stack.enter_context(PrivateEngine())
        registry = stack.enter_context(a_local_registry(directory, logins=False))
        with closing(docker.DockerClient(engine.host)) as client:
            worker.make(client)
            far = registry.push(client, worker.IMAGE, "chaos/far:1").name
        around = stack.enter_context(surroundings())
        yield stack.enter_context(Stage(engine, directory, around, far))
