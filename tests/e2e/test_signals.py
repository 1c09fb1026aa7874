"""Signals: which end the supervisor, and which do not, as those of a terminal that closes."""

import os
import pty
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import docker
import pytest

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.stubborn import stopping
from tests.support.supervised import Supervised, eventually

_NO_END = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
_DROPPED = "supervisor_log_lines_dropped_total"
# The session's terminal is what stands on its standard input.
_OWN_TERMINAL = """
import fcntl, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
"""
# In the background of a terminal that stops what writes to it from there. In the foreground is
# somebody who lives as long as it does.
_IN_THE_BACKGROUND = f"""{_OWN_TERMINAL}
mode = termios.tcgetattr(0)
mode[3] |= termios.TOSTOP
termios.tcsetattr(0, termios.TCSANOW, mode)
reading, writing = os.pipe()
shell = os.fork()
if not shell:
    os.close(writing)
    os.read(reading, 1)
    os._exit(0)
os.set_inheritable(writing, True)
os.setpgid(shell, shell)
os.tcsetpgrp(0, shell)
"""


class Terminal:
    """A terminal with somebody in front of it, who reads all there is, until it is closed."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        self.shown = b""
        self._closing = False
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._closing:  # what is being read is not closed
            if select.select([self._master], [], [], 0.02)[0]:
                self.shown += os.read(self._master, 65536)

    def close(self) -> None:
        """As a window is closed, or a connection lost: who sits there is told by SIGHUP."""
        if not self._closing:
            self._closing = True
            self._reader.join()
            os.close(self.slave)
            os.close(self._master)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    one = Terminal()
    yield one
    one.close()


def _works(supervised: Supervised, identifier: str) -> None:
    assert Response() == supervised.launch("timer", identifier)
    assert [identifier] == supervised.running()
    assert Response() == supervised.kill(identifier)
    assert ("SERVING", "SERVING") == (supervised.health(), supervised.health("liveness"))


def _ignored(supervised: Supervised) -> list[str]:
    return [str(event["signal"]) for event in supervised.events("signal.ignored")]


def _send(supervised: Supervised, number: signal.Signals) -> None:
    assert supervised.process
    supervised.process.send_signal(number)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_that_asks_for_no_end_is_told_and_changes_nothing(
    start: Start, docker_client: docker.DockerClient, number: signal.Signals
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "stays")
    for count in (1, 2):
        _send(supervised, number)
        eventually(lambda n=count: [number.name] * n == _ignored(supervised))  # type: ignore[misc]
    assert ["stays"] == supervised.running() == containers.live(docker_client)
    assert Response() == supervised.kill("stays")
    _works(supervised, "a")
    assert 0 == supervised.stop()


def test_what_nohup_has_ignored_is_told_as_well(start: Start) -> None:
    first = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    supervised = start(popen={"first": first}, JOB_CATALOG="")
    _send(supervised, signal.SIGHUP)
    eventually(lambda: ["SIGHUP"] == _ignored(supervised))
    assert 0 == supervised.stop()


def test_signals_during_the_start_do_not_end_it(start: Start) -> None:
    supervised = start(ready=False)
    # All of them: under nohup, SIGHUP is ignored from the first moment on.
    eventually(lambda: all(_heeds_or_ignores(supervised, number) for number in _NO_END))

    def is_ready() -> bool:
        for number in _NO_END:
            _send(supervised, number)
        return supervised.is_ready()

    eventually(is_ready, within=30)
    _works(supervised, "a")
    assert 0 == supervised.stop()


def _heeds_or_ignores(supervised: Supervised, number: signal.Signals) -> bool:
    assert supervised.process
    status = Path(f"/proc/{supervised.process.pid}/status").read_text(encoding="ascii")
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Sig"))
    mask = int(masks["SigIgn"], 16) | int(masks["SigCgt"], 16)
    return bool(mask >> (number - 1) & 1)


def test_signals_while_it_stops_do_not_end_it_early(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(JOB_STOP_GRACE_SECONDS="3")
    with stopping(supervised, docker_client) as kill:
        eventually(lambda: "supervisor.draining" in supervised.log())
        while supervised.process and supervised.process.poll() is None:
            for number in _NO_END:
                _send(supervised, number)
            time.sleep(0.01)
        assert Response() == kill.result()
    assert 0 == supervised.ended()
    assert 1 == len(list(supervised.events("supervisor.stopped")))
    assert set(_ignored(supervised)) == {number.name for number in _NO_END}


def test_what_ctrl_z_has_stopped_goes_on_where_it_was(start: Start) -> None:
    # As a shell starts it. The kernel stops none of a group in which nobody has a parent outside
    # of it, in the same session, as that of tests that run in the background may be.
    supervised = start(popen={"process_group": 0})
    assert supervised.process
    _send(supervised, signal.SIGTSTP)
    os.waitid(os.P_PID, supervised.process.pid, os.WSTOPPED | os.WNOWAIT)
    _send(supervised, signal.SIGCONT)
    eventually(supervised.is_ready)
    _works(supervised, "a")
    assert 0 == supervised.stop()


@pytest.mark.parametrize("logs_there", [True, False], ids=["with its log", "without it"])
def test_a_terminal_that_closes_ends_nothing(
    start: Start, terminal: Terminal, *, logs_there: bool
) -> None:
    streams: dict[str, Any] = {"stdin": terminal.slave, "first": _OWN_TERMINAL}
    if logs_there:
        streams |= {"stdout": terminal.slave, "stderr": terminal.slave}
    supervised = start(popen=streams)
    assert Response() == supervised.launch("timer", "stays")
    if logs_there:
        eventually(lambda: b"job.launched" in terminal.shown)
    dropped = supervised.metric(_DROPPED)
    terminal.close()
    if logs_there:
        eventually(lambda: supervised.metric(_DROPPED) > dropped)
    else:
        eventually(lambda: [*supervised.events("catalog.read")])
    assert ["stays"] == supervised.running()
    assert Response() == supervised.kill("stays")
    _works(supervised, "a")
    assert 0 == supervised.stop()


def test_in_the_background_of_a_terminal_it_writes_and_is_not_stopped(
    start: Start, terminal: Terminal
) -> None:
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.slave)
    supervised = start(popen=streams | {"first": _IN_THE_BACKGROUND})
    _works(supervised, "a")
    eventually(lambda: b"job.killed" in terminal.shown)
