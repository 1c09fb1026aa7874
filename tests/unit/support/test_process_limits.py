"""What the system is short of is told as such, and what is there is gone on with."""

import asyncio
import errno
import os
import resource
import threading

import pytest
import requests
from docker.errors import DockerException

from service.engine.docker.error_mapping import translated_errors
from service.engine.docker.event_stream import EventStream
from service.engine.docker.thread_pool import Threads
from service.engine.docker.tolerant_reader import TolerantReader
from service.errors import EngineUnavailable, StartError
from service.support import process_limits


def _refuse(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_where_no_thread_may_be_started_work_waits_for_those_that_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> list[str]:
        threads = Threads(8, "test")
        await threads.run(lambda: None)
        monkeypatch.setattr(threading.Thread, "start", _refuse)
        names = [threads.run(lambda: threading.current_thread().name) for _ in range(5)]
        try:
            return await asyncio.gather(*names)
        finally:
            threads.close()

    assert ["test_1"] * 5 == asyncio.run(work())


def test_where_there_is_none_the_error_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> str:
        threads = Threads(8, "test")
        with monkeypatch.context() as none_left:
            none_left.setattr(threading.Thread, "start", _refuse)
            with pytest.raises(EngineUnavailable, match=r"no more threads.*pids_limit"):
                await threads.run(lambda: "")
        try:
            return await threads.run(lambda: "later")
        finally:
            threads.close()

    assert "later" == asyncio.run(work())


def test_threads_are_left_for_the_others_of_a_control_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> int:
        threads = Threads(8, "test")
        barrier = threading.Event()
        works = [asyncio.create_task(threads.run(barrier.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        busy = threads.busy
        barrier.set()
        await asyncio.gather(*works)
        threads.close()
        return busy

    monkeypatch.setattr("service.engine.docker.thread_pool.room_for_threads", lambda: False)
    assert 1 == asyncio.run(work())


def test_without_a_thread_for_it_an_event_stream_is_an_absence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading.Thread, "start", _refuse)
    with pytest.raises(EngineUnavailable, match="no more threads"):
        EventStream({}, TolerantReader()).drain(print, print)


def _wrapped(number: int) -> BaseException:
    """As three libraries hand it on."""
    inner = requests.ConnectionError("('Connection aborted.')")
    inner.__context__ = OSError(number, os.strerror(number))
    error = DockerException(f"Error while fetching server API version: {inner}")
    error.__cause__ = inner
    return error


@pytest.mark.parametrize(
    ("number", "helps"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "fs.file-max"),
        (errno.ENOMEM, "memory limit"),
        (errno.ENOBUFS, "this host"),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_shortage_is_told_as_what_it_is(number: int, helps: str, wrapped: bool) -> None:
    error = _wrapped(number) if wrapped else OSError(number, os.strerror(number))
    with pytest.raises(EngineUnavailable) as caught, translated_errors("start", "x"):
        raise error
    assert helps in caught.value.message
    assert "Docker Engine" not in caught.value.message


def test_want_of_memory_is_one_as_well() -> None:
    with pytest.raises(EngineUnavailable, match="no memory left"), translated_errors("list", ""):
        raise MemoryError


def test_other_errors_are_none() -> None:
    assert process_limits.find_shortage(_wrapped(errno.ENOENT)) is None


def test_too_few_threads_end_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    process_limits.require_threads(3)
    monkeypatch.setattr(threading.Thread, "start", _refuse)
    with pytest.raises(StartError, match=r"pids_limit.*: 3 are needed, and 0 allowed"):
        process_limits.require_threads(3)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((128, 4096), 4096),
        ((128, resource.RLIM_INFINITY), 65_536),
        ((1024, 2**30), 65_536),
        ((100_000, 2**30), 100_000),
        ((512, 512), 512),
    ],
)
def test_the_soft_limit_is_raised_within_reason(
    before: tuple[int, int], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: before)
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: set_to.append(both))
    assert after == process_limits.raise_file_limit()
    assert set_to == ([] if after == before[0] else [(after, before[1])])
