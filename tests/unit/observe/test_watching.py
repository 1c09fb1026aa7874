"""What a watch tells, message by message. The clients here come and go as hypothesis likes it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from observability.callers import note_caller
from observability.metrics import Metrics
from service.access.clients import ALL_JOBS, JobScope
from service.app.metric_labels import new_metrics
from service.errors import Draining, InvalidRequest, TooSlow
from service.jobs.model import Job
from service.jobs.observations import Closed, KillIntended, Observation, Started
from service.jobs.wanted import EVERY_JOB, Wanted
from service.observe import batches, turns
from service.observe.batches import Batches, Selection
from service.observe.watching import Message, Watch, Watching
from service.state.changes import Journal
from service.state.readiness import Readiness
from service.state.registry import Registry
from tests.support.samples import NAMES, a_job

EVERYTHING = Selection(EVERY_JOB, ALL_JOBS)
TIMERS = Selection(Wanted(name="tim*"), ALL_JOBS)
LISTED = Readiness("Engine")
LISTED.set_in_step()


def encode(job: Job) -> bytes:
    return f"{job.launch_id} {job.name} {job.state}".encode()


# Making them takes some 30 ms, and the clients below make hundreds of worlds.
SHARED = new_metrics(NAMES, version="1", engine="docker", mode="production")


class World:
    """A registry with its journal, and everything that was ever recorded."""

    def __init__(self, kept: int = 10_000, metrics: Metrics = SHARED) -> None:
        self.registry, self.journal = Registry(metrics), Journal(kept)
        self.registry.subscribe_to_changes(self.journal.record)
        self.batches = Batches(self.journal, self.registry)
        self.log: list[Job] = []
        self.registry.subscribe_to_changes(self.log.append)
        self.jobs = 0

    def launch(self, name: str = "timer") -> str:
        self.jobs += 1
        launch_id = f"{self.jobs}"
        self.registry.add(a_job(launch_id, name=name, identifier=launch_id))
        return launch_id

    def observe(self, launch_id: str, observation: Observation) -> None:
        self.registry.observe(launch_id, observation)

    def watch(self, token: str = "", selection: Selection = EVERYTHING) -> Watch:
        watch = Watch(self.journal, self.batches, selection, encode)
        watch.resume(token)
        return watch

    def live(self, selection: Selection = EVERYTHING) -> set[bytes]:
        return {encode(job) for job in self.registry.jobs() if selection.includes(job)}


def all_of(watch: Watch) -> list[Message]:
    told = []
    watch._batches.begin()
    while not watch.idle:
        if message := watch.next():
            told.append(message)
    return told


@pytest.fixture
def world() -> World:
    return World()


# A snapshot, and then every change


def test_a_watch_begins_with_a_snapshot_also_of_nothing(world: World) -> None:
    (message,) = all_of(world.watch())
    assert ("snapshot", [], True) == (message.kind, message.jobs, message.complete)
    world.launch()
    (message,) = all_of(world.watch())
    assert [b"1 timer starting"] == message.jobs


def test_then_it_tells_every_change_in_one_message_where_they_come_at_once(world: World) -> None:
    watch = world.watch()
    all_of(watch)
    assert watch.idle
    launch_id = world.launch()
    world.observe(launch_id, Started("c", 1))
    world.observe(launch_id, Closed(2, exit_code=1))
    (message,) = all_of(watch)
    assert "changes" == message.kind
    assert [b"1 timer starting", b"1 timer running", b"1 timer gone"] == message.jobs


def test_who_comes_back_is_told_what_was_missed_and_nothing_twice(world: World) -> None:
    token = all_of(world.watch())[-1].token
    world.launch()
    watch = world.watch(token)
    (message,) = all_of(watch)
    assert ("changes", [b"1 timer starting"]) == (message.kind, message.jobs)
    assert [] == all_of(world.watch(message.token))


def test_large_snapshots_and_many_changes_are_cut_into_messages(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = world.watch()
    all_of(watch)
    monkeypatch.setattr(batches, "MOST_BYTES", 30)
    monkeypatch.setattr(batches, "MOST_JOBS", 4)
    for _ in range(7):
        world.launch()
    assert [2, 2, 2, 1] == [len(message.jobs) for message in all_of(watch)]
    snapshot = all_of(world.watch())
    assert [2, 2, 2, 1] == [len(message.jobs) for message in snapshot]
    assert [False, False, False, True] == [message.complete for message in snapshot]
    monkeypatch.setattr(batches, "MOST_BYTES", 1000)
    assert [4, 3] == [len(message.jobs) for message in all_of(world.watch())]


def test_a_job_that_is_larger_than_a_message_should_be_comes_alone(world: World) -> None:
    for _ in range(2):
        world.launch()
    large = Watch(world.journal, world.batches, EVERYTHING, lambda _: bytes(batches.MOST_BYTES))
    assert [1, 1] == [len(message.jobs) for message in all_of(large)]


def test_what_has_changed_during_a_snapshot_is_told_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_JOBS", 1)
    world.launch()
    world.launch()
    watch = world.watch()
    watch.next()
    world.observe("2", Started("c", 1))
    told = [watch.next()]
    world.batches.begin()
    told.append(watch.next())
    assert [[b"2 timer starting"], [b"2 timer running"]] == [
        list(each.jobs) for each in told if each
    ]


# Gaps


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: "0" * 16 + token[16:],  # of another process
        lambda token: token[:-16] + "0" * 16,  # of another selection
    ],
)
def test_what_cannot_be_resumed_is_a_gap_and_a_snapshot(
    world: World, spoil: Callable[[str], str]
) -> None:
    token = all_of(world.watch())[-1].token
    told = all_of(world.watch(spoil(token)))
    assert [("gap", False), ("snapshot", True)] == [(each.kind, each.complete) for each in told]


def test_a_token_that_is_too_old_is_a_gap() -> None:
    world = World(kept=3)
    token = all_of(world.watch())[-1].token
    for _ in range(3):
        world.launch()
    assert ["changes"] == [each.kind for each in all_of(world.watch(token))]
    world.launch()
    assert ["gap", "snapshot"] == [each.kind for each in all_of(world.watch(token))]


def test_an_unfinished_snapshot_cannot_be_resumed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_JOBS", 1)
    world.launch()
    world.launch()
    first = world.watch().next()
    assert first is not None
    assert not first.complete
    told = all_of(world.watch(first.token))
    assert ["gap", "snapshot", "snapshot"] == [each.kind for each in told]
    assert ["gap", *["snapshot"] * 2] == [each.kind for each in all_of(world.watch(told[0].token))]


@pytest.mark.parametrize("token", ["x", "1.2", "a" * 16 + ".1." + "b" * 16 + "\n", "é", "9" * 4000])
def test_a_token_that_is_none_is_refused(world: World, token: str) -> None:
    with pytest.raises(InvalidRequest, match=r"resume_token: .* is no token; allowed is"):
        world.watch(token)


def test_a_token_of_a_change_that_has_not_been_is_refused(world: World) -> None:
    token = all_of(world.watch())[-1].token
    epoch, place, key = token.split(".")
    with pytest.raises(InvalidRequest):
        world.watch(f"{epoch}.{int(place) + 1}.{key}")


@pytest.mark.parametrize("in_snapshot", [True, False])
def test_a_client_that_the_journal_has_overtaken_is_too_slow(
    in_snapshot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_JOBS", 1)
    world = World(kept=3)
    world.launch()
    world.launch()
    watch = world.watch()
    if in_snapshot:
        watch.next()
    else:
        all_of(watch)
    for _ in range(4):
        world.launch()
    with pytest.raises(TooSlow):
        watch.next()


# Selections


def test_a_watch_tells_only_of_what_it_is_about(world: World) -> None:
    watch = world.watch(selection=TIMERS)
    world.launch("mail")
    world.launch("timer")
    assert [[b"2 timer starting"]] == [list(each.jobs) for each in all_of(watch)]
    world.launch("mail")
    assert [] == all_of(watch)
    world.launch("timer")
    assert [[b"4 timer starting"]] == [list(each.jobs) for each in all_of(watch)]


def test_clients_with_every_job_share_what_is_encoded() -> None:
    with_all, with_some = JobScope(["mail", "*"]), JobScope(["mail"])
    assert EVERYTHING.key == Selection(EVERY_JOB, with_all).key
    assert EVERYTHING.key != Selection(EVERY_JOB, with_some).key


def test_where_nothing_is_told_for_long_the_client_gets_a_newer_token() -> None:
    world = World(kept=1500)
    watch = world.watch(selection=TIMERS)
    token = all_of(watch)[-1].token
    for _ in range(2000):
        world.launch("mail")
        for message in all_of(watch):
            assert ("changes", []) == (message.kind, message.jobs)
            token = message.token
    world.launch("timer")
    told = all_of(world.watch(token, TIMERS))
    assert [("changes", [b"2001 timer starting"])] == [(each.kind, each.jobs) for each in told]


# Any interleaving


@dataclass
class Client:
    """Keeps what it is told, as the documentation says."""

    selection: Selection
    watch: Watch | None = None
    token: str = ""
    live: dict[bytes, bytes] = field(default_factory=dict)
    coming: dict[bytes, bytes] = field(default_factory=dict)  # of a snapshot
    # The changes since the last snapshot; and where it was, by the length of everything's log.
    changes: list[bytes] = field(default_factory=list)
    since: int | None = None

    def take(self, message: Message, log: int) -> None:
        self.token = message.token
        if message.kind == "gap":
            self.live, self.coming, self.changes, self.since = {}, {}, [], None
        for encoded in message.jobs:
            launch_id = encoded.split()[0]
            if message.kind == "snapshot":
                self.coming[launch_id] = encoded
                continue
            self.changes.append(encoded)
            self.live[launch_id] = encoded
            if encoded.endswith(b"gone"):
                del self.live[launch_id]
        if message.complete:
            self.live, self.coming, self.changes = self.coming, {}, []
            self.since = log


class Play:
    """Two clients that see everything or something, and the jobs that come and go meanwhile."""

    def __init__(self) -> None:
        self.world = World(kept=8)
        self.clients = [Client(EVERYTHING), Client(TIMERS)]
        self.begun = [0, 0]  # how long the log was when the snapshot of a client began

    def step(self, what: int, choice: int) -> None:
        world, client = self.world, self.clients[choice % 2]
        jobs = world.registry.jobs()
        if what == 0:
            world.launch(NAMES[choice % 2])
        elif what in (1, 2, 3) and jobs:
            observations: list[Observation] = [
                Started("c", 1),
                KillIntended(),
                Closed(2, exit_code=0),
            ]
            world.observe(jobs[choice % len(jobs)].launch_id, observations[what - 1])
        elif what == 4:
            client.watch = None  # it is cut off
        elif what == 5:
            world.batches.begin()
        elif what in (6, 7):
            self.read(client, lose=what == 7)

    def read(self, client: Client, *, lose: bool) -> None:
        """The client reads a message, or it is cut off before the message has come."""
        which = self.clients.index(client)
        watch = client.watch or self.world.watch(client.token, client.selection)
        client.watch = watch
        if watch.idle:
            return
        try:
            beginning = watch._in_snapshot and watch._snapshot is None and not watch._gap
            if beginning:
                self.begun[which] = len(self.world.log)
            message = watch.next()
        except TooSlow:
            client.watch = None
            return
        if lose:
            client.watch = None
        elif message:
            client.take(message, self.begun[which])

    def finish(self) -> None:
        self.world.batches.begin()
        for client in self.clients:
            while client.watch is None or not client.watch.idle:
                self.read(client, lose=False)
            assert self.world.live(client.selection) == set(client.live.values())
            assert client.since is not None
            missed = [
                job for job in self.world.log[client.since :] if client.selection.includes(job)
            ]
            assert [encode(job) for job in missed] == client.changes


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 50)), max_size=60), st.integers(1, 4))
def test_whatever_happens_a_client_knows_what_is_live_and_every_change_since_a_snapshot(
    steps: list[tuple[int, int]], most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "MOST_JOBS", most)
        play = Play()
        for what, choice in steps:
            play.step(what, choice)
        play.finish()


# The open watches


@pytest.fixture
def metrics() -> Metrics:
    return new_metrics(NAMES, version="1", engine="docker", mode="production")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PAUSE", 0)


def value(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name)


@pytest.mark.usefixtures("quick")
async def test_a_watch_waits_for_news_and_is_counted_while_it_is_open(
    world: World, metrics: Metrics
) -> None:
    open_watches = Watching(world.journal, world.registry, LISTED, metrics)
    watch = open_watches.watch(EVERYTHING, "", encode)
    assert (await anext(watch)).complete
    upcoming = asyncio.create_task(anext(watch))
    await asyncio.sleep(0.01)
    assert not upcoming.done()
    assert 1 == value(metrics, "supervisor_watches_open")
    world.launch()
    assert [b"1 timer starting"] == (await upcoming).jobs
    await watch.aclose()
    assert 0 == value(metrics, "supervisor_watches_open")


@pytest.mark.usefixtures("quick")
async def test_a_slow_watch_is_counted_and_ends_alone(metrics: Metrics) -> None:
    world = World(kept=2)
    open_watches = Watching(world.journal, world.registry, LISTED, metrics)
    slow, quick = (open_watches.watch(EVERYTHING, "", encode) for _ in range(2))
    await anext(slow)
    await anext(quick)
    for _ in range(3):
        world.launch()
        await anext(quick)
    note_caller("192.0.2.1:4000", "")
    with pytest.raises(TooSlow), capture_logs() as logs:
        await anext(slow)
    assert [("watch.too_slow", "192.0.2.1:4000")] == [(e["event"], e["peer"]) for e in logs]
    assert 1 == value(metrics, "supervisor_watches_too_slow_total")
    assert 1 == value(metrics, "supervisor_watches_open")


@pytest.mark.usefixtures("quick")
async def test_the_close_ends_each_watch_also_one_that_comes_late(
    world: World, metrics: Metrics
) -> None:
    open_watches = Watching(world.journal, world.registry, LISTED, metrics)
    watch = open_watches.watch(EVERYTHING, "", encode)
    await anext(watch)
    upcoming = asyncio.create_task(anext(watch))
    await asyncio.sleep(0)
    open_watches.close()
    with pytest.raises(Draining):
        await upcoming
    with pytest.raises(Draining):
        await anext(open_watches.watch(EVERYTHING, "", encode))
