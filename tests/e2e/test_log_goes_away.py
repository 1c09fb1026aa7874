"""A log that cannot be written is never the reason for anything."""

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support.line import Line
from tests.support.supervised import COMMAND, Supervised, after, eventually

_DROPPED = "supervisor_log_lines_dropped_total"


@contextmanager
def a_full_disk() -> Iterator[Mapping[str, Any]]:
    with Path("/dev/full").open("wb") as full:
        yield {"stdout": full, "stderr": full}


@contextmanager
def nobody_who_reads() -> Iterator[Mapping[str, Any]]:
    reading, writing = os.pipe()
    fill(writing)
    try:
        yield {"stdout": writing, "stderr": writing}
    finally:
        os.close(reading)
        os.close(writing)


@contextmanager
def nobody_who_reads_and_no_waiting() -> Iterator[Mapping[str, Any]]:
    with nobody_who_reads() as popen:
        os.set_blocking(popen["stdout"], False)
        yield popen


@contextmanager
def a_reader_that_has_gone() -> Iterator[Mapping[str, Any]]:
    reading, writing = os.pipe()
    os.close(reading)
    yield {"stdout": writing, "stderr": writing}
    os.close(writing)


@contextmanager
def a_limit_on_files() -> Iterator[Mapping[str, Any]]:
    yield {"first": "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"}


OUTPUTS = {
    "a full disk": a_full_disk,
    "nobody reads": nobody_who_reads,
    "nobody reads, and the pipe does not wait": nobody_who_reads_and_no_waiting,
    "the reader has gone": a_reader_that_has_gone,
    "no file may grow": a_limit_on_files,
}


def fill(pipe: int) -> None:
    """As full as one that nobody has read for long."""
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"\n" * 4096)
    os.set_blocking(pipe, True)


def works(supervised: Supervised, identifier: str = "a") -> None:
    """It launches, lists, kills, and tells of its health."""
    assert Response() == supervised.launch("timer", identifier)
    assert Response() == supervised.launch("timer", identifier)
    assert [identifier] == supervised.running()
    assert Response() == supervised.kill(identifier)
    assert ("SERVING", "SERVING") == (supervised.health(), supervised.health("liveness"))
    assert (200, 200) == (supervised.http("/livez")[0], supervised.http("/readyz")[0])


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_wherever_the_log_goes_it_works_and_stops(
    output: Callable[[], Any], start: Start, line: Line
) -> None:
    with output() as popen:
        supervised = start(DOCKER_HOST=line.host, popen=popen)
        works(supervised)
        line.cut()
        eventually(lambda: supervised.health() == "NOT_SERVING")
        line.mend()
        eventually(supervised.is_ready)
        works(supervised, "b")
        assert 0 == supervised.stop()


@pytest.mark.parametrize("output", [a_full_disk, a_reader_that_has_gone])
def test_lines_that_cannot_be_written_are_counted(output: Callable[[], Any], start: Start) -> None:
    with output() as popen:
        supervised = start(popen=popen)
        eventually(lambda: supervised.metric(_DROPPED) > 0)
        before = supervised.metric(_DROPPED)
        works(supervised)
        eventually(lambda: supervised.metric(_DROPPED) >= before + 4)


def test_lines_that_find_no_room_are_counted_and_told_of_later(start: Start) -> None:
    reading, writing = os.pipe()
    supervised = start(popen={"stdout": writing})
    fill(writing)
    identifier = "i" * 500

    def drop() -> bool:
        for _ in range(100):
            supervised.kill(identifier)
        return supervised.metric(_DROPPED) > 0

    eventually(drop, within=120)
    assert Response() == supervised.launch("timer", "a")
    os.close(writing)
    with os.fdopen(reading, "rb") as log:
        events = iter(log_events(log))
        told = next(event for event in events if event["event"] == "log.dropped")
        assert told["lines"] > 0
        assert supervised.metric(_DROPPED) >= told["lines"]
        assert supervised.process
        supervised.process.send_signal(signal.SIGTERM)
        assert "supervisor.stopped" in [event["event"] for event in events]
    assert 0 == supervised.ended()


def log_events(log: Any) -> Iterator[dict[str, Any]]:
    """Every line is whole, but for those that have filled the pipe."""
    yield from (json.loads(line) for line in log if line != b"\n")


def test_a_slow_reader_gets_every_line_in_order(start: Start) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    supervised = start(popen={"stdout": writing}, ready=False)
    os.close(writing)
    with os.fdopen(reading, "rb") as log:
        events = iter(log_events(log))
        assert "supervisor.started" == next(events)["event"]
        eventually(supervised.is_ready)
        for number in range(200):
            supervised.kill(f"nobody-{number}")
        assert supervised.process
        supervised.process.send_signal(signal.SIGTERM)
        told = [event for event in events if event["event"] == "kill.not_running"]
    assert [f"nobody-{number}" for number in range(200)] == [e["identifier"] for e in told]
    assert 0 == supervised.ended()


@pytest.mark.parametrize("closed", ["1", "0 1", "2", "0 1 2"])
def test_no_socket_gets_the_number_of_a_standard_stream(closed: str, start: Start) -> None:
    close = "; ".join(f"os.close({number})" for number in closed.split())
    supervised = start(popen={"first": close})
    works(supervised)
    assert supervised.process
    for number in map(int, closed.split()):
        assert Path(f"/proc/{supervised.process.pid}/fd/{number}").readlink() == Path(os.devnull)
    assert 0 == supervised.stop()


def test_a_log_is_utf_8_whatever_the_locale_is(start: Start) -> None:
    supervised = start(
        PYTHONIOENCODING="ascii", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C", LANG="C"
    )
    works(supervised, "é-☃")
    assert "é-☃" in supervised.log()
    assert 0 == supervised.stop()


INHERITED = {
    "blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "ignored, and a umask that allows nothing": "os.umask(0o777)\n"
    "for each in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):\n"
    "    signal.signal(each, signal.SIG_IGN)",
    "the end for whoever writes to nobody": "signal.signal(signal.SIGPIPE, signal.SIG_DFL)",
}


@pytest.mark.parametrize("inherited", INHERITED.values(), ids=INHERITED)
def test_inherited_signals_change_nothing(inherited: str, start: Start) -> None:
    with a_reader_that_has_gone() as popen:
        supervised = start(popen={**popen, "first": inherited})
        works(supervised)
        assert 0 == supervised.stop()


def test_a_refused_start_ends_though_nobody_reads_why(tmp_path: Path) -> None:
    with nobody_who_reads() as popen:
        ended = subprocess.run(
            [COMMAND, "serve"],
            env={"PATH": os.environ["PATH"], "METRICS_PORT": "none"},
            cwd=tmp_path,
            timeout=60,
            check=False,
            **popen,
        )
    assert ended.returncode


def test_a_health_check_says_the_truth_whoever_reads_it(start: Start, tmp_path: Path) -> None:
    supervised = start()
    port = {"GRPC_SERVER_PORT": str(supervised.port), "BIND_ADDRESS": "127.0.0.1"}
    for name, output in OUTPUTS.items():
        with output() as popen:
            streams = {key: value for key, value in popen.items() if key != "first"}
            codes = [
                subprocess.run(
                    after(popen.get("first", ""), COMMAND, "health", "--service", service),
                    env={"PATH": os.environ["PATH"], **port},
                    cwd=tmp_path,
                    timeout=60,
                    check=False,
                    **streams,
                ).returncode
                for service in ("liveness", "nobody")
            ]
        assert [0, 1] == codes, name
