"""Starts processes, and reads their use of resources from the kernel."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.support.supervised import free_port

_START_SECONDS = 60.0
_CPUCLOCK_SCHED = 2
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Program:
    """A process that runs a module of this package, and listens on a port, during the block."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        """`log` receives the output; without it, the caller has to read it."""
        self.port = free_port()
        self._command = [sys.executable, "-m", module, *arguments, str(self.port)]
        self._environment = {**os.environ, **(environment or {})}
        self._log = log

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            output = stack.enter_context(self._log.open("ab")) if self._log else subprocess.PIPE
            self.process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=output,
                text=True,
            )
        try:
            wait_for_port(self.port, self.process)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self.process.kill()
        self.process.wait()


def listens(port: int) -> bool:
    """Whether a port of the loopback accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for_port(port: int, process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Wait until a port of the loopback accepts connections."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if listens(port):
            return
        time.sleep(0.002)
    raise RuntimeError(f"{process.args!r} does not listen on its port")


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used so far, in all of its threads.

    The kernel keeps a clock of each process (clock_getcpuclockid(3)); the same in /proc has a
    resolution of 10 ms, which is the time of several launches.
    """
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
