"""Whatever happens, one thing after another: ListJobs, the metrics and the Engine say the same."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.line import Line
from tests.support.supervised import Scrape, Supervised, eventually

pytestmark = pytest.mark.timeout(240)

_STEPS = 40
_IDENTIFIERS = ("a", "b", "c")
# How a job ends that ends by itself, by its name and exit code.
_ENDS = {
    ("timer", 0): "ended",
    ("timer", 1): "error",
    ("webhook", 0): "success",
    ("webhook", 1): "error",
    ("mail", 0): "success",
    ("mail", 1): "error",
}
_NAMES = ("timer", "webhook", "mail")


class _Play:
    """A sequence of steps on a real Engine, and beside it what it should have come to."""

    def __init__(
        self, supervised: Supervised, client: docker.DockerClient, line: Line, seed: int
    ) -> None:
        self._supervised, self._client, self._line = supervised, client, line
        self._chance = random.Random(seed)
        self._running: defaultdict[str, list[str]] = defaultdict(list)  # identifier: job names
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._told: list[Any] = []
        self.said: list[str] = []

    def step(self) -> None:
        """One thing that happens."""
        moves: dict[Callable[[], None], int] = {
            self._launch: 8,
            self._launch_what_ends: 3,
            self._kill: 3,
            self._kill_all: 1,
            self._crash: 2,
            self._remove: 1,
            self._lose: 1,
            self._die_unseen: 1,
            self._fail: 1,
        }
        (move,) = self._chance.choices(list(moves), list(moves.values()))
        self.said.append(move.__name__)
        move()

    def check(self) -> None:
        """Wait until everybody agrees; what they say, if they never do."""
        try:
            eventually(self._agree)
        except AssertionError:
            pytest.fail(f"after {self.said}: {self._told}")

    def _agree(self) -> bool:
        running = [(name, key) for key, names in self._running.items() for name in names]
        jobs, scrape = self._supervised.jobs(), self._supervised.scrape()
        expected = [
            sorted(running),
            sorted(running),
            [sum(job == name for job, _ in running) for name in _NAMES],
            [len(running)] * 3,
            {key: float(count) for key, count in self._counts.items() if count},
        ]
        self._told = [
            sorted((job.name, job.identifier) for job in jobs),
            sorted(map(containers.job_of, containers.of_ours(self._client))),
            [scrape.sum("supervisor_jobs_running", job_name=name) for name in _NAMES],
            [
                scrape.sum("supervisor_jobs", state="running"),
                scrape.sum("supervisor_jobs"),
                scrape.sum("supervisor_launches_total") - scrape.sum("supervisor_exits_total"),
            ],
            _counts(scrape),
        ]
        return self._told == expected and {job.status for job in jobs} <= {"running"}

    def _launch(self) -> None:
        name, identifier = self._chance.choice(_NAMES), self._chance.choice(_IDENTIFIERS)
        self._launch_one(name, identifier, {})

    def _launch_what_ends(self) -> None:
        (name, code), outcome = self._chance.choice(list(_ENDS.items()))
        if self._launch_one(name, self._chance.choice(_IDENTIFIERS), {"exit": code}):
            self._end(name, self._last, outcome)

    def _launch_one(self, name: str, identifier: str, params: dict[str, int]) -> bool:
        """Whether a container has been started for it."""
        # A kind for each identifier, as backends have it: a reaction's are apart.
        identifier = f"r-{identifier}" if name == "mail" else identifier
        self._last = identifier
        before = self._running[identifier]
        assert Response() == self._supervised.launch(name, identifier, params)
        if before and name != "mail":
            self._counts["dedups", before[0]] += 1
            return False
        before.append(name)
        self._counts["launches", name] += 1
        return True

    def _end(self, name: str, identifier: str, outcome: str) -> None:
        self._running[identifier].remove(name)
        self._counts["exits", name, outcome] += 1

    def _kill(self) -> None:
        identifier = self._chance.choice([*_IDENTIFIERS, "r-a", "r-b"])
        assert Response() == self._supervised.kill(identifier)
        if not self._running[identifier]:
            self._counts["kills", "unknown", "not_running"] += 1
        self._killed(identifier)

    def _kill_all(self) -> None:
        assert Response() == self._supervised.kill_all()
        for identifier in list(self._running):
            self._killed(identifier)

    def _killed(self, identifier: str) -> None:
        for name in list(self._running[identifier]):
            self._end(name, identifier, "killed")
            self._counts["kills", name, "stopped"] += 1

    def _crash(self) -> None:
        self._by_hand("error", lambda container: container.kill())

    def _remove(self) -> None:
        self._by_hand("error", lambda container: container.remove(force=True))

    def _fail(self) -> None:
        assert 422 == self._supervised.launch("missing", "x-1").error.code
        self._counts["failures", "missing", "image_missing"] += 1

    def _die_unseen(self) -> None:
        self._unseen(lambda container: container.kill())

    def _lose(self) -> None:
        self._unseen(lambda container: container.remove(force=True))

    def _unseen(self, act: Callable[[Container], object]) -> None:
        """Something happens while the supervisor cannot see it."""
        self._line.cut()
        eventually(lambda: "NOT_SERVING" == self._supervised.health())
        self._by_hand("lost", act)
        self._line.mend()
        eventually(self._supervised.is_ready)

    def _by_hand(self, outcome: str, act: Callable[[Container], object]) -> None:
        if found := containers.of_ours(self._client):
            container = self._chance.choice(found)
            name, identifier = containers.job_of(container)
            act(container)
            self._end(name, identifier, outcome)


_COUNTERS = ("launches", "adoptions", "dedups", "failures", "kills", "exits")


def _counts(scrape: Scrape) -> dict[tuple[str, ...], float]:
    """Every counter of ours that is not 0, by job and outcome or reason."""
    found: dict[tuple[str, ...], float] = {}
    for counter in _COUNTERS:
        for sample in scrape.of(f"supervisor_{counter}_total"):
            outcome = sample.labels.get("outcome") or sample.labels.get("reason")
            key = (counter, sample.labels["job_name"], *([outcome] if outcome else []))
            if sample.value:
                found[key] = sample.value
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_list_metrics_and_engine_agree_after_each_step(
    start: Start, line: Line, docker_client: docker.DockerClient, seed: int
) -> None:
    play = _Play(start(DOCKER_HOST=line.host), docker_client, line, seed)
    for _ in range(_STEPS):
        play.step()
        play.check()
