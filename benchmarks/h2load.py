"""Drives gRPC servers with h2load, which is written in C, so that it is never the bottleneck.

It knows nothing of gRPC, and needs not: a unary call is a POST whose body is the framed message.
It takes any HTTP status 200 for a success, and gRPC's status is in the trailers: whether the calls
did what they should has to be seen on the server.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.calls import Call
from scripts import apt

IN_FLIGHT = 16
_HEADERS = {"content-type": "application/grpc", "te": "trailers"}
_RATE = re.compile(r"finished in \S+, ([0-9.]+) req/s")
_SUCCEEDED = re.compile(r"(\d+) succeeded")


def ensure_installed() -> None:
    """Install it from Debian's packages."""
    if shutil.which("h2load") is None:
        apt.install("nghttp2-client")


class H2load:
    """`directory` is for its files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._logs = 0

    def rate(
        self,
        port: int,
        call: Call,
        calls: int,
        headers: Mapping[str, str] | None = None,
        *,
        tls: bool = False,
    ) -> float:
        """Calls per second over one connection, with as many in flight as from a busy backend."""
        command = self._command(port, call, calls, IN_FLIGHT, headers or {}, tls=tls)
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        _check(output, calls)
        return _number(_RATE, output)

    def paced(self, port: int, call: Call, calls: int, per_second: int) -> "Paced":
        """Start calls at a constant rate, even if some are slow."""
        self._logs += 1
        log = self._directory / f"h2load-{self._logs}.log"
        options = [f"--rps={per_second}", f"--log-file={log}"]
        return Paced([*self._command(port, call, calls, calls, {}), *options], calls, log)

    def _command(
        self,
        port: int,
        call: Call,
        calls: int,
        in_flight: int,
        headers: Mapping[str, str],
        *,
        tls: bool = False,
    ) -> list[str]:
        body = self._directory / f"{call.name}.request"
        if not body.exists():  # another h2load may be reading it
            body.write_bytes(call.framed)
        amount = [f"--requests={calls}", "--clients=1", f"--max-concurrent-streams={in_flight}"]
        given = [f"--header={key}: {value}" for key, value in {**_HEADERS, **headers}.items()]
        target = f"{'https' if tls else 'http'}://127.0.0.1:{port}{call.path}"
        return ["h2load", target, f"--data={body}", *amount, *given]


class Paced:
    """Calls under way at a constant rate."""

    def __init__(self, command: Sequence[str], calls: int, log: Path) -> None:
        self._calls, self._log = calls, log
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def seconds(self) -> Sequence[float]:
        """Wait for the end. Return the duration of each call."""
        output, _ = self._process.communicate()
        _check(output, self._calls)
        lines = self._log.read_text(encoding="ascii").splitlines()
        return [int(line.split("\t")[2]) / 1e6 for line in lines]


def _check(output: str, calls: int) -> None:
    if int(_number(_SUCCEEDED, output)) != calls:
        raise RuntimeError(f"not every call has got an answer:\n{output}")


def _number(pattern: re.Pattern[str], output: str) -> float:
    found = pattern.search(output)
    if found is None:
        raise RuntimeError(f"h2load says something else:\n{output}")
    return float(found[1])
