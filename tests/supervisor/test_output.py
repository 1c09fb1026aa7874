"""The output of jobs, and what they use, on the engine in memory."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from unittest import mock

import pytest

from observability.redaction.redactor import REDACTED, Redactor
from service.engine.output import Printed, Usage
from service.engine.workload_spec import AUTH_FILE, Log, Surroundings, WorkloadSpec
from service.errors import (
    Draining,
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    LimitReached,
    NoSuchWorkload,
    NotPossible,
)
from service.jobs.model import Job, State
from service.observe.logs import MOST_STREAMS, JobLogs, LogsWanted
from service.observe.stats import JobStats
from tests.fake_engine.host import Container
from tests.supervisor.world import World, pass_time, until
from tests.support.samples import a_job

_ATTEMPTS = 2  # of the job "carefully again"
_SECRETS = {"key": "ab\ncd\nt0p-s3cret"}


class _Client:
    """Reads the output of a job in a task of its own."""

    def __init__(self, world: World, job: Job, **wanted: int | bool) -> None:
        self.logs = JobLogs(world.engine, world.registry)
        self.lines: list[Printed] = []
        self.done = asyncio.create_task(self._read(job, LogsWanted(**wanted)))  # type: ignore[arg-type]

    async def _read(self, job: Job, wanted: LogsWanted) -> None:
        async with aclosing(self.logs.stream(job, wanted)) as found:
            async for lines in found:
                self.lines += lines

    @property
    def texts(self) -> Sequence[str]:
        return [line.text for line in self.lines]

    def has(self, text: str) -> bool:
        return text in self.texts


async def _a_job(world: World, name: str = "timer", **params: str) -> tuple[Job, Container]:
    await world.launch("a-1", name, **params)
    (job,) = world.registry.of("a-1")
    return job, world.host.get(job.workload_id or "")


async def _texts(world: World, job: Job, **wanted: int | bool) -> Sequence[str]:
    client = _Client(world, job, **wanted)
    await client.done
    return client.texts


async def test_the_output_of_a_live_job_is_there_at_once(world: World) -> None:
    job, container = await _a_job(world)
    container.printed.clear()
    container.say("hello")
    container.say("oh", stream="stderr")
    client = _Client(world, job)
    await client.done
    assert [("stdout", "hello"), ("stderr", "oh")] == [(x.stream, x.text) for x in client.lines]
    assert [line.at for line in container.printed] == [line.at for line in client.lines]


@pytest.mark.parametrize(("tail", "shown"), [(0, []), (2, ["b", "c"]), (9, ["a", "b", "c"])])
async def test_only_the_last_lines_are_shown(world: World, tail: int, shown: list[str]) -> None:
    job, container = await _a_job(world)
    container.printed.clear()
    for text in "abc":
        container.say(text)
    assert shown == await _texts(world, job, tail=tail)
    client = _Client(world, job, tail=tail, follow=True)
    await pass_time(0.1)
    container.say("d")
    await until(lambda: [*shown, "d"] == client.texts)
    client.done.cancel()


async def test_the_last_lines_are_exact_though_all_have_the_same_time(world: World) -> None:
    """Podman gives times in seconds."""
    job, container = await _a_job(world)
    for text in "abcd":
        container.say(text)
    container.printed[:] = [line._replace(at=container.printed[0].at) for line in container.printed]
    assert ["c", "d"] == await _texts(world, job, tail=2)
    assert [] == await _texts(world, job, tail=0)
    container.say("e")
    assert ["d", "e"] == await _texts(world, job, tail=2)
    assert ["e"] == await _texts(world, job, tail=2, since=container.printed[-1].at)


async def test_what_is_left_of_lines_of_one_time_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine rotates the log after the last lines were looked for."""
    job, container = await _a_job(world)
    for text in "abc":
        container.say(text)
    container.printed[:] = [line._replace(at=container.printed[0].at) for line in container.printed]
    read = world.engine.logs

    def rotating(workload_id: str, *, tail: int | None = None, **more: Any) -> Any:
        if tail is None:
            del container.printed[:-1]
        return read(workload_id, tail=tail, **more)

    monkeypatch.setattr(world.engine, "logs", rotating)
    assert ["c"] == await _texts(world, job, tail=2)


async def test_the_last_lines_are_exact_though_all_come_in_parts(world: World) -> None:
    """Docker counts each part of a long line as a line."""
    job, container = await _a_job(world)
    container.printed.clear()
    for text in "abc":
        container.say(text)
        whole = container.printed.pop()
        container.printed += [*[whole._replace(ends=False)] * 5, whole]
    assert ["b"] * 6 + ["c"] * 6 == await _texts(world, job, tail=2)
    assert ["a"] * 6 + ["b"] * 6 + ["c"] * 6 == await _texts(world, job, tail=3)


async def test_only_lines_of_a_time_or_later_are_shown(world: World) -> None:
    job, container = await _a_job(world)
    for text in "abc":
        container.say(text)
    assert ["b", "c"] == await _texts(world, job, since=container.printed[-2].at)
    assert ["c"] == await _texts(world, job, since=container.printed[-2].at + 1)
    assert ["c"] == await _texts(world, job, since=container.printed[-2].at, tail=1)


async def _job_with_secrets(world: World) -> tuple[Job, Container]:
    job, container = await _a_job(world)
    container.printed.clear()
    return a_job(
        launch_id=job.launch_id, workload_id=job.workload_id, redact=Redactor(_SECRETS)
    ), container


async def test_a_secret_goes_whose_lines_come_one_by_one_and_with_others_between(
    world: World,
) -> None:
    job, container = await _job_with_secrets(world)
    client = _Client(world, job, follow=True)
    container.say("key: ab")
    await pass_time(0.1)
    assert not client.lines
    container.say("an error", stream="stderr")
    container.say("cd")
    await pass_time(0.1)
    assert not client.lines
    container.say("t0p-s3cret!")
    container.say("done")
    await until(lambda: client.has("done"))
    assert [f"key: {REDACTED}", "an error", REDACTED, f"{REDACTED}!", "done"] == client.texts
    client.done.cancel()


async def test_what_may_be_the_head_of_a_secret_is_hidden_after_a_second(world: World) -> None:
    job, container = await _job_with_secrets(world)
    client = _Client(world, job, follow=True)
    container.say("ab")
    await pass_time(0.9)
    assert not client.lines
    await pass_time(0.2)
    assert [REDACTED] == client.texts
    client.done.cancel()


async def test_a_secret_is_found_whose_head_is_not_shown(world: World) -> None:
    job, container = await _job_with_secrets(world)
    for text in ("ab", "cd", "t0p-s3cret"):
        container.say(text)
    assert [REDACTED, REDACTED] == await _texts(world, job, tail=2)
    assert [REDACTED, REDACTED] == await _texts(world, job, since=container.printed[1].at)


async def test_a_follower_sees_all_runs_of_a_job_and_ends_with_it(world: World) -> None:
    job, container = await _a_job(world, "carefully again")
    client = _Client(world, job, follow=True)
    for run in range(3):
        container = world.container("a-1")
        container.say(f"run {run}")
        await until(lambda: client.has(f"run {run}"))  # noqa: B023 - at once
        container.say(f"last words of {run}")
        world.host.exit(container.id, 1)
        if run < _ATTEMPTS:
            await until(lambda: _runs_as_another(world, container), within=60)  # noqa: B023
    await until(client.done.done)
    said = [text for text in client.texts if "run" in text or "last" in text]
    assert [f"{what} {n}" for n in range(3) for what in ("run", "last words of")] == said


def _runs_as_another(world: World, before: Container) -> bool:
    return world.states().get("a-1") == "running" and world.container("a-1") is not before


async def test_a_follower_waits_for_an_engine_that_is_away_and_sees_each_line_once(
    world: World,
) -> None:
    job, container = await _a_job(world)
    client = _Client(world, job, follow=True)
    container.say("one")
    await until(lambda: client.has("one"))
    world.engine.go_away()
    container.say("two")
    container.say("three", stream="stderr")
    await pass_time(20)
    world.engine.come_back()
    await until(lambda: client.has("three"))
    container.say("four")
    await until(lambda: client.has("four"))
    assert ["one", "two", "three", "four"] == client.texts[-4:]
    assert len(container.printed) == len(client.lines)
    client.done.cancel()


async def test_a_follower_is_told_of_an_engine_that_stays_away(world: World) -> None:
    job, _ = await _a_job(world)
    client = _Client(world, job, follow=True)
    await until(lambda: bool(client.lines))
    world.engine.go_away()
    await pass_time(50)
    assert not client.done.done()
    await pass_time(30)
    with pytest.raises(EngineUnavailable):
        await client.done


class _Asked:
    """How often the engine is asked for output. Of what a follower wants, it may keep back."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, *, keeps_back: int) -> None:
        """To so many followers it tells nothing more once they have what is there."""
        self.search = 0.0  # how long it searches for the first line of a follower (seconds)
        self.follows: list[int] = []  # from which times on
        self.looks = 0
        self._keeps_back = keeps_back
        self._tell = world.engine.logs
        monkeypatch.setattr(world.engine, "logs", self._logs)

    async def _logs(
        self, workload_id: str, **wanted: Any
    ) -> AsyncGenerator[Sequence[Printed], None]:
        follow = wanted.pop("follow", False)
        if follow:
            self.follows.append(wanted["since"])
        else:
            assert 1 == wanted["tail"]  # or a long log would be read as a whole
            self.looks += 1
        keeps_back = follow and len(self.follows) <= self._keeps_back
        await asyncio.sleep(self.search if follow else 0)
        told = self._tell(workload_id, follow=follow and not keeps_back, **wanted)
        async with aclosing(told) as found:
            async for lines in found:
                yield lines
        if keeps_back:
            await asyncio.Event().wait()


async def test_a_follower_is_told_what_the_engine_keeps_to_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _Asked(world, monkeypatch, keeps_back=2)
    job, container = await _a_job(world)
    container.say("one")
    client = _Client(world, job, follow=True)
    for text in ("two", "three"):
        await until(lambda: len(container.printed) == len(client.lines), within=25)
        container.say(f"{text}!", stream="stderr")
        container.say(text)
    await until(lambda: client.has("three"), within=25)
    assert ["one", "two!", "two", "three!", "three"] == client.texts[-5:]
    assert [line.at for line in container.printed] == [line.at for line in client.lines]
    assert 3 == len(asked.follows)
    client.done.cancel()


async def test_a_job_that_says_nothing_is_followed_once_and_looked_at_now_and_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _Asked(world, monkeypatch, keeps_back=1)
    job, _ = await _a_job(world)
    client = _Client(world, job, follow=True)
    await pass_time(600)
    assert client.lines
    assert 1 == len(asked.follows)
    assert 5 == asked.looks  # after 10, 20, 40, 80 and 160 s more
    client.done.cancel()


async def test_a_client_that_reads_slowly_is_no_silence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _Asked(world, monkeypatch, keeps_back=0)
    job, container = await _a_job(world)
    logs = JobLogs(world.engine, world.registry)
    async with aclosing(logs.stream(job, LogsWanted(follow=True))) as found:
        assert await anext(found)
        container.say("one")
        await pass_time(100)
        assert ["one"] == [line.text for line in await anext(found)]
    assert (1, 0) == (len(asked.follows), asked.looks)


async def test_a_long_search_for_the_first_line_is_no_silence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _Asked(world, monkeypatch, keeps_back=0)
    asked.search = 1000.0
    job, _ = await _a_job(world)
    client = _Client(world, job, follow=True)
    await until(lambda: bool(client.lines), within=1100)
    assert (1, 0) == (len(asked.follows), asked.looks)
    client.done.cancel()


async def test_no_look_at_a_silent_job_holds_up_its_lines_or_a_stop(world: World) -> None:
    job, container = await _a_job(world)
    client = _Client(world, job, follow=True)
    await until(lambda: bool(client.lines))
    look = world.faults.hold("logs")
    await look.reached()
    container.say("one")
    await until(lambda: client.has("one"))
    client.logs.close()
    with pytest.raises(Draining):
        await client.done
    look.release()


async def test_a_look_that_fails_ends_no_stream(world: World) -> None:
    job, container = await _a_job(world)
    client = _Client(world, job, follow=True)
    await until(lambda: bool(client.lines))
    world.faults.fail("logs", EngineFailed("not now"))
    await pass_time(30)
    assert 2 == world.engine.calls["logs"]
    container.say("one")
    await until(lambda: client.has("one"))
    assert len(container.printed) == len(client.lines)
    client.done.cancel()


async def test_whoever_does_not_follow_is_told_at_once(world: World) -> None:
    job, _ = await _a_job(world)
    world.engine.go_away()
    with pytest.raises(EngineUnavailable):
        await _texts(world, job)


async def test_a_follower_of_a_launch_under_way_waits_for_it(world: World) -> None:
    hold = world.faults.hold("start")
    launch = world.launching("a-1", say="hello")
    await hold.reached()
    (job,) = world.registry.of("a-1")
    assert State.STARTING is job.state
    assert [] == await _texts(world, job)
    client = _Client(world, job, follow=True)
    hold.release()
    await launch
    await until(lambda: client.has("hello"))
    client.done.cancel()


async def test_of_a_job_that_has_ended_the_kept_container_is_read(development: World) -> None:
    job, container = await _a_job(development, say="hello")
    development.host.exit(container.id, 1)
    await until(lambda: not development.states())
    assert "hello" in await _texts(development, job, follow=True)


async def test_of_a_job_that_has_ended_the_last_lines_are_what_is_kept(world: World) -> None:
    job, container = await _a_job(world, say="hello")
    closed = world.registry.when_closed(job.launch_id)
    world.host.exit(container.id, 1)
    ended = await closed
    client = _Client(world, ended, tail=1, follow=True)
    await client.done
    assert [("", "hello", 0)] == [(line.stream, line.text, line.at) for line in client.lines]


async def test_a_job_whose_container_has_just_gone_is_waited_for(world: World) -> None:
    job, container = await _a_job(world)
    container.printed.clear()
    container.say("oh no")
    world.faults.fail("inspect", NoSuchWorkload(container.id))
    client = _Client(world, job)
    await pass_time(0.1)
    assert not client.done.done()
    world.host.exit(container.id, 1)
    await client.done
    assert [("", "oh no")] == [(line.stream, line.text) for line in client.lines]


async def test_it_is_said_if_nothing_is_kept(world: World) -> None:
    job, container = await _a_job(world, "webhook")
    closed = world.registry.when_closed(job.launch_id)
    world.host.exit(container.id, 0)
    with pytest.raises(NotPossible, match="is gone with its container"):
        await _texts(world, await closed)


async def test_it_is_said_if_a_job_is_gone_before_its_output_is_read(world: World) -> None:
    job, container = await _a_job(world, "webhook", say="hello")
    hold = world.faults.hold("logs")
    client = _Client(world, job, follow=True)
    await hold.reached()
    closed = world.registry.when_closed(job.launch_id)
    world.host.exit(container.id, 0)
    await closed
    hold.release()
    with pytest.raises(NotPossible, match="is gone with its container"):
        await client.done


async def test_nothing_is_missing_of_a_job_that_says_nothing(world: World) -> None:
    job, container = await _a_job(world, "webhook")
    container.printed.clear()
    client = _Client(world, job, follow=True)
    await pass_time(0.1)
    world.host.exit(container.id, 0)
    await client.done
    assert not client.lines


async def test_it_is_said_if_the_credentials_are_not_known_any_more(world: World) -> None:
    job, container = await _a_job(world)
    arguments = ["--target", "h:1", "--identifier", "a-1", "--auth-file", AUTH_FILE]
    container.spec = WorkloadSpec(name="a-1", image="x", arguments=arguments)
    with pytest.raises(NotPossible, match="credentials"):
        await _texts(world, a_job(launch_id=job.launch_id, workload_id=job.workload_id))


async def test_a_log_driver_that_gives_nothing_back_is_named(world: World) -> None:
    job, container = await _a_job(world)
    where = Surroundings(log=Log("none"))
    container.spec = WorkloadSpec(name="a-1", image="x", arguments=[], surroundings=where)
    for wanted in ({}, {"follow": True}, {"tail": 1}):
        with pytest.raises(NotPossible, match=r"its log driver \(none\)"):
            await _texts(world, job, **wanted)


async def test_the_streams_are_limited_and_a_closed_one_makes_room(world: World) -> None:
    job, _ = await _a_job(world)
    logs = JobLogs(world.engine, world.registry)
    open_ones = [logs.stream(job, LogsWanted(follow=True)) for _ in range(MOST_STREAMS)]
    for each in open_ones:
        await anext(each)
    with pytest.raises(LimitReached, match=f"{MOST_STREAMS} streams"):
        await anext(logs.stream(job, LogsWanted()))
    await open_ones[0].aclose()
    await anext(logs.stream(job, LogsWanted()))
    for each in open_ones[1:]:
        await each.aclose()


async def test_a_stream_of_what_does_not_run_yet_ends_when_the_supervisor_stops(
    world: World,
) -> None:
    hold = world.faults.hold("create")
    launch = world.launching("a-1")
    await hold.reached()
    (job,) = world.registry.of("a-1")
    client = _Client(world, job, follow=True)
    await pass_time(0.1)
    client.logs.close()
    await pass_time(0.1)
    assert client.done.done()
    with pytest.raises(Draining):
        await client.done
    hold.release()
    await launch


@pytest.mark.parametrize("name", ["timer", "patiently again"])
async def test_streams_end_when_the_supervisor_stops(world: World, name: str) -> None:
    job, container = await _a_job(world, name)
    client = _Client(world, job, follow=True)
    await until(lambda: bool(client.lines))
    if name != "timer":
        world.host.exit(container.id, 1)
        await until(lambda: world.states() == {"a-1": "backing_off"})
        await pass_time(1)
    client.logs.close()
    with pytest.raises(Draining):
        await client.done
    with pytest.raises(Draining):
        await anext(client.logs.stream(job, LogsWanted()))


# What they use


async def test_stats_are_of_each_job_that_runs(world: World) -> None:
    await world.launch("a-1")
    await world.launch("b-1")
    jobs = {job.identifier: job for job in world.registry.jobs()}
    stats = JobStats(world.engine, world.registry)
    found = await stats.of()
    assert {"a-1", "b-1"} == {each.job.identifier for each in found.jobs}
    assert all(abs(each.cpu - 0.5) < 0.01 and each.usage.memory == 2**20 for each in found.jobs)
    assert [] == found.unmeasured
    wanted = [jobs["b-1"].launch_id, jobs["b-1"].launch_id, "unknown"]
    assert ["b-1"] == [each.job.identifier for each in (await stats.of(wanted)).jobs]


async def test_the_second_stats_take_one_measurement(world: World) -> None:
    await world.launch("a-1")
    stats = JobStats(world.engine, world.registry)
    asked = []
    for pause in (0.0, 2.0, 0.0, 60.0):
        await pass_time(pause)
        began, before = time.monotonic(), world.engine.calls["stats"]
        assert 1 == len((await stats.of()).jobs)
        asked.append((world.engine.calls["stats"] - before, time.monotonic() - began >= 0.5))
    assert [(2, True), (1, False), (1, True), (2, True)] == asked


async def test_of_what_the_engine_does_not_tell_the_reason_is_told(world: World) -> None:
    for identifier in ("a-1", "b-1", "c-1", "d-1"):
        await world.launch(identifier)
    world.host.exit(world.container("a-1").id, 1)  # it is no job any more
    untold = {world.container("b-1").id: None, world.container("c-1").id: Usage(1.0, 1.0, 1)}
    measure = world.engine.stats

    async def stats(workload_ids: Sequence[str], *, timeout: float) -> Mapping[str, Usage | None]:
        found = await measure(workload_ids, timeout=timeout)
        return {each: untold.get(each, usage) for each, usage in found.items()}

    with mock.patch.object(world.engine, "stats", stats):
        found = await JobStats(world.engine, world.registry).of()
    assert ["d-1"] == [each.job.identifier for each in found.jobs]
    reasons = [(job.identifier, reason.value) for job, reason in found.unmeasured]
    assert [("b-1", "other_machine"), ("c-1", "no_answer")] == reasons


async def test_an_engine_that_does_not_answer_is_told(world: World) -> None:
    await world.launch("a-1")
    world.engine.hang()
    with pytest.raises(EngineTimeout):
        await JobStats(world.engine, world.registry).of()
