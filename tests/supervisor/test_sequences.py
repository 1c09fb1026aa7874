"""Whatever comes in whatever order: at rest, the registry, the metrics and the Engine agree."""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.engine.events import Change, Event
from service.engine.workloads import Status
from service.errors import EngineError, EngineRefused, EngineTimeout, EngineUnavailable
from service.jobs.labels import IDENTIFIER_LABEL, KIND_LABEL, NAME_LABEL
from tests.fake_engine.faults import Operation
from tests.supervisor.world import NOTICE, Asked, World, a_world, pass_time

pytestmark = pytest.mark.timeout(300)

IDENTIFIERS = ("a", "b", "c")
NAMES = ("timer", "webhook", "mail")
COMPARE = 30.0

REQUESTS = st.one_of(
    st.tuples(st.just("launch"), st.sampled_from(IDENTIFIERS), st.sampled_from(NAMES)),
    st.tuples(st.just("launch"), st.sampled_from(IDENTIFIERS), st.just("timer")),
    st.tuples(st.just("kill"), st.sampled_from(IDENTIFIERS), st.just("")),
    st.tuples(st.just("kill_all"), st.just(""), st.just("")),
)
WORLDLY = st.one_of(
    st.tuples(st.just("exit"), st.sampled_from(IDENTIFIERS), st.sampled_from(["0", "1"])),
    st.tuples(st.just("start"), st.sampled_from(IDENTIFIERS), st.just("")),
    st.tuples(st.just("remove"), st.sampled_from(IDENTIFIERS), st.just("")),
    st.tuples(st.just("hang_up"), st.just(""), st.just("")),
    st.tuples(st.just("pass"), st.just(""), st.sampled_from(["0.005", "0.02", "0.1", "3"])),
)
ABSENCES = st.tuples(
    st.sampled_from(["disconnect", "go_away", "come_back"]), st.just(""), st.just("")
)
OPERATIONS: tuple[Operation, ...] = ("create", "start", "stop", "remove", "inspect", "list", "tail")
# What was done and then not answered is never a refusal.
FAULTS = st.one_of(
    st.tuples(st.just("before"), st.sampled_from(OPERATIONS), st.sampled_from(["refused"])),
    st.tuples(
        st.sampled_from(["before", "after"]),
        st.sampled_from(OPERATIONS),
        st.sampled_from(["timeout", "unavailable"]),
    ),
)
ERRORS: dict[str, EngineError] = {
    "refused": EngineRefused("refused"),
    "timeout": EngineTimeout("too long"),
    "unavailable": EngineUnavailable("away"),
}
Step = tuple[str, str, str]


@dataclass
class Play:
    """A sequence of steps in a world, and what it has asked for."""

    world: World
    chance: random.Random
    asked: list[Asked] = field(default_factory=list)
    launches: int = 0
    hung_up: int = 0
    most_live: Counter[str] = field(default_factory=Counter)

    async def step(self, step: Step) -> None:
        what, first, second = step
        world = self.world
        if what in ("launch", "kill", "kill_all"):
            self.ask(what, first, second)
        elif what in ("exit", "start", "remove"):
            await self.by_hand(what, first, second)
        elif what in ("before", "after"):
            world.faults.fail(first, ERRORS[second], after=what == "after")  # type: ignore[arg-type]
        elif what == "hang_up" and self.asked:
            last = self.asked[-1]
            self.hung_up += not last.done
            last.hang_up()
        elif what == "pass":
            await pass_time(float(second))
        elif what in ("disconnect", "go_away", "come_back"):
            {
                "disconnect": world.engine.disconnect,
                "go_away": world.engine.go_away,
                "come_back": world.engine.come_back,
            }[what]()

    def ask(self, what: str, identifier: str, name: str) -> None:
        if what == "launch":
            # A kind for each identifier, as backends have it: a reaction's are apart.
            identifier = f"r-{identifier}" if name == "mail" else identifier
            self.launches += 1
            self.asked.append(self.world.launching(identifier, name))
        elif what == "kill":
            self.asked.append(self.world.killing(identifier))
        else:
            self.asked.append(self.world.killing_all())

    async def by_hand(self, what: str, identifier: str, code: str) -> None:
        found = [
            container
            for container in self.world.host.containers
            if container.spec.labels[IDENTIFIER_LABEL].removeprefix("r-") == identifier
            and container.status is (Status.EXITED if what == "start" else Status.LIVE)
        ]
        if not found:
            return
        container = self.chance.choice(found)
        if what == "exit":
            self.world.host.exit(container.id, int(code))
        elif what == "start":
            self.world.host.start(container.id)
        else:
            await self.world.host.remove(container.id, force=True)

    def observe(self, event: Event) -> None:
        """Count the live containers of each grouped identifier whenever one starts."""
        if event.change is Change.STARTED:
            live = self.live("action")
            self.most_live |= live

    def live(self, kind: str) -> Counter[str]:
        return Counter(
            container.spec.labels[IDENTIFIER_LABEL]
            for container in self.world.host.live
            if container.spec.labels[KIND_LABEL] == kind
        )

    async def come_to_rest(self, seconds: float) -> None:
        self.world.faults.clear()
        self.world.engine.come_back()
        for asked in self.asked:
            if not asked.hung_up:
                await asked.answer()
        await self.world.supervisor.finish()
        await self.world.ready()
        await pass_time(seconds)

    def check(self) -> None:
        world = self.world
        jobs = world.supervisor.list_jobs()
        assert {"running"} >= {job.state.value for job in jobs}
        assert sorted(c.id for c in world.host.live) == sorted(str(j.workload_id) for j in jobs)
        assert {1} >= set(self.live("action").values())
        by_name = Counter(container.spec.labels[NAME_LABEL] for container in world.host.live)
        for name in NAMES:
            assert by_name[name] == world.metric("supervisor_jobs_running", job_name=name)
        by_state = {s: world.metric("supervisor_jobs", state=s) for s in ("starting", "stopping")}
        assert {"starting": 0, "stopping": 0} == by_state
        assert len(jobs) == world.metric("supervisor_jobs", state="running")
        ended = world.metric("supervisor_exits_total")
        begun = world.metric("supervisor_launches_total")
        assert len(jobs) == begun + world.metric("supervisor_adoptions_total") - ended
        answered = world.metric("supervisor_launch_duration_seconds_count")
        assert self.launches - self.hung_up <= answered <= self.launches


async def play(steps: list[Step], *, seed: int, keep: bool, rest: float) -> Play:
    async with a_world(keep=keep) as world:
        chance = random.Random(seed)
        world.engine.latency = lambda: chance.uniform(0, 0.01)
        played = Play(world, chance)
        world.host.listeners.append(played.observe)
        for step in steps:
            await played.step(step)
        await played.come_to_rest(rest)
        played.check()
        if not keep:
            await check_nothing_is_left(played)
        return played


async def check_nothing_is_left(played: Play) -> None:
    """In production, what is not live is not there; but for what the Engine would not remove."""
    world = played.world
    refused = len(world.logged("container.left_behind"))
    assert len(world.left()) - len(world.running()) <= refused


def examples(*kinds: st.SearchStrategy[Step]) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.one_of(*kinds), min_size=5, max_size=40)


MANY = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("keep", [False, True])
@given(steps=examples(REQUESTS), seed=st.integers(0, 9))
@MANY
async def test_requests_alone(*, keep: bool, steps: list[Step], seed: int) -> None:
    played = await play(steps, seed=seed, keep=keep, rest=NOTICE)
    assert {1} >= set(played.most_live.values())
    assert all(asked.task.exception() is None for asked in played.asked)


@pytest.mark.parametrize("keep", [False, True])
@given(steps=examples(REQUESTS, WORLDLY), seed=st.integers(0, 9))
@MANY
async def test_requests_exits_and_third_parties(
    *, keep: bool, steps: list[Step], seed: int
) -> None:
    await play(steps, seed=seed, keep=keep, rest=NOTICE)


@pytest.mark.parametrize("keep", [False, True])
@given(steps=examples(REQUESTS, WORLDLY, ABSENCES), seed=st.integers(0, 9))
@MANY
async def test_an_engine_that_comes_and_goes(*, keep: bool, steps: list[Step], seed: int) -> None:
    await play(steps, seed=seed, keep=keep, rest=COMPARE + 2 * NOTICE)


@pytest.mark.parametrize("keep", [False, True])
@given(steps=examples(REQUESTS, WORLDLY, ABSENCES, FAULTS), seed=st.integers(0, 9))
@MANY
async def test_an_engine_that_fails(*, keep: bool, steps: list[Step], seed: int) -> None:
    await play(steps, seed=seed, keep=keep, rest=2 * COMPARE)
