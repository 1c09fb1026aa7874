"""What every engine tells of the output of its workloads, and of what they use."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from service.engine.output import UNREADABLE_LOG, Printed
from service.engine.workload_spec import Log, Surroundings
from service.errors import EngineError, EngineRefused
from tests.engine.rigs import DockerRig, Rig, SwarmRig, until, until_async
from tests.engine.test_contract import exited, start

_SECOND = 10**9


async def logs(rig: Rig, workload_id: str, **wanted: object) -> list[Printed]:
    found = rig.engine.logs(workload_id, **wanted)  # type: ignore[arg-type]
    return [line for lines in [each async for each in found] for line in lines]


class Follower:
    """Everything that a followed log has said so far."""

    def __init__(self, rig: Rig, workload_id: str) -> None:
        self.lines: list[Printed] = []
        self._rig = rig
        self.ended = asyncio.create_task(self._follow(workload_id))

    async def _follow(self, workload_id: str) -> None:
        try:
            async for lines in self._rig.engine.logs(workload_id, follow=True):
                self.lines += lines
        except EngineError:
            pass  # an end that the contract allows

    @property
    def texts(self) -> Sequence[str]:
        return [line.text for line in self.lines]

    def has(self, text: str) -> bool:
        return text in self.texts


async def test_logs_tell_each_line_with_its_stream_and_its_time(rig: Rig) -> None:
    began = time.time_ns()
    asked = "--say", "all is well", "--complain", "no: ä", "--exit", "1"
    workload_id = await start(rig, "a-1", *asked)
    await exited(rig, workload_id)
    found = await logs(rig, workload_id)
    spoken = {(line.stream, line.text) for line in found}
    assert {("stdout", "all is well"), ("stderr", "no: ä"), ("stdout", "argument: --say")} <= spoken
    assert len(asked) + 3 == len(found)
    assert all(began - _SECOND < line.at < time.time_ns() + _SECOND for line in found)
    assert all(line.ends for line in found)
    of_one = [line.at for line in found if line.stream == "stdout"]
    assert sorted(of_one) == of_one


async def test_logs_may_be_of_the_end_only(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--say", "one", "--exit", "1")
    await exited(rig, workload_id)
    whole = await logs(rig, workload_id)
    assert whole[-2:] == await logs(rig, workload_id, tail=2)
    since = await logs(rig, workload_id, since=whole[-1].at)
    assert whole[-1] == since[-1]
    assert whole[-1] == (await logs(rig, workload_id, since=whole[-1].at, tail=1))[-1]


async def test_followed_logs_go_on_until_the_workload_has_ended(rig: Rig) -> None:
    workload_id = await start(
        rig, "a-1", "--say", "first", "--after", "1", "--complain", "last", "--exit", "0"
    )
    follower = Follower(rig, workload_id)
    await until(lambda: follower.has("first"))
    await exited(rig, workload_id)
    await until(lambda: follower.has("last"))
    if not isinstance(rig, SwarmRig):  # there, somebody may start another task of it
        await asyncio.wait_for(follower.ended, 10)
    follower.ended.cancel()


@pytest.mark.parametrize("rig", ["docker", "swarm"], indirect=True)
async def test_followed_logs_begin_before_there_is_any(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.engine.docker.logs._OPENING", 1.5)
    workload_id = await start(rig, "a-1")
    tomorrow = time.time_ns() + 86_400 * _SECOND
    lines = rig.engine.logs(workload_id, follow=True, since=tomorrow)
    first = asyncio.ensure_future(anext(lines))
    done, _ = await asyncio.wait({first}, timeout=2.5)
    assert not done, first
    first.cancel()


@pytest.mark.parametrize("rig", ["fake", "docker"], indirect=True)
async def test_followed_logs_end_when_the_workload_is_gone(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--say", "I stay")
    follower = Follower(rig, workload_id)
    await until(lambda: follower.has("I stay"))
    await rig.engine.remove(workload_id, force=True)
    await asyncio.wait_for(follower.ended, 30)


async def test_followed_logs_end_with_the_engine(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--say", "I stay")
    follower = Follower(rig, workload_id)
    await until(lambda: follower.has("I stay"))
    await rig.go_away()
    await asyncio.wait_for(follower.ended, 10)
    await rig.come_back()


async def test_a_log_that_its_driver_does_not_give_back_is_told(rig: Rig) -> None:
    where = Surroundings(log=Log("none"))
    workload_id = await start(rig, "a-1", surroundings=where)
    with pytest.raises(EngineRefused, match=UNREADABLE_LOG):
        await logs(rig, workload_id)


async def test_a_line_that_is_too_long_comes_in_parts(docker_rig: DockerRig) -> None:
    text = "ä" * 40_000
    script = "i=0; while [ $i -lt 40000 ]; do printf ä; i=$((i+1)); done; echo; echo end"
    workload_id = await _run(docker_rig, script)
    await asyncio.to_thread(docker_rig.client.api.wait, workload_id)  # or Podman may cut it
    found = await logs(docker_rig, workload_id, follow=True)
    assert text == "".join(line.text for line in found[:-1])
    assert [False, False, True, True] == [line.ends for line in found]
    assert "end" == found[-1].text


async def test_bytes_that_are_no_text_are_replaced(docker_rig: DockerRig) -> None:
    workload_id = await _run(docker_rig, r"printf '\377\000x\nno line end'; printf 'a\r\n' >&2")
    found = await logs(docker_rig, workload_id, follow=True)
    assert {"\ufffd\0x", "no line end", "a"} == {line.text for line in found}


async def test_a_container_with_a_terminal_has_one_stream(docker_rig: DockerRig) -> None:
    workload_id = await _run(docker_rig, "echo one; echo two >&2; printf three", tty=True)
    lines = await logs(docker_rig, workload_id, follow=True)
    assert [("stdout", "one"), ("stdout", "two"), ("stdout", "three")] == [
        (line.stream, line.text) for line in lines
    ]
    assert all(line.at for line in lines)


async def _run(rig: DockerRig, script: str, *, tty: bool = False) -> str:
    def run() -> str:
        command = ["/bin/busybox", "sh", "-c", script]
        container = rig.client.containers.run(
            "supervisor-test-busybox", command, detach=True, network_mode="none", tty=tty
        )
        return str(container.id)

    return await asyncio.to_thread(run)


async def test_stats_tell_what_a_workload_uses(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--say", "I stay")
    before: dict[str, float] = {}

    async def has_worked() -> bool:
        found = await rig.engine.stats([workload_id, "0" * 64], timeout=10)
        assert [workload_id] == list(found)
        usage = found[workload_id]
        assert usage
        assert 0 < usage.memory < 100 * 2**20
        assert 0 == usage.memory_limit
        assert usage.processes >= 1
        assert abs(usage.at - time.time()) < 60
        first = before.setdefault("cpu", usage.cpu)
        return usage.cpu > first

    await until_async(has_worked)


async def test_stats_leave_out_what_does_not_run(rig: Rig) -> None:
    workload_id = await start(rig, "a-1", "--exit", "1")
    await exited(rig, workload_id)
    assert {} == await rig.engine.stats([workload_id], timeout=10)
