"""A line to the Engine that looks into the requests, and does something to some of them."""

import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from http.client import HTTPException, HTTPResponse
from io import BufferedReader
from pathlib import Path

from tests.support.line import Directions, Line

# The ends of the paths by which Docker and Podman are asked to stop a container.
STOPS = ("/stop", "/kill")
_FAILURE = (500, "an error that a test has made")


class Fault(Enum):
    """What becomes of a request."""

    REFUSED = auto()  # answered with the failure, and not passed on
    DENIED = (
        auto()
    )  # passed on, and answered with the failure all the same: what was asked has happened
    UNANSWERED = auto()  # passed on, and never answered
    LOST = auto()  # neither passed on nor answered


Meddle = Callable[[str, str], Fault | None]
"""Decides about a request, from its method and its path."""


Rewrite = Callable[[str, str], Callable[[bytes], bytes] | None]
"""What makes another body of a request's answer, from its method and its path."""


def untouched(method: str, path: str) -> None:
    """No fault for any request."""
    del method, path


class HttpLine(Line):
    """A line on which `meddle` decides what becomes of each request."""

    def __init__(self, path: Path, to: Path) -> None:
        self.meddle: Meddle = untouched
        self.rewrite: Rewrite = untouched
        self.failure = _FAILURE  # status and message of what is answered to a fault
        self.faults: Counter[Fault] = Counter()
        self.rewritten = 0  # how many answers
        self._listening: set[socket.socket] = set()  # to events
        super().__init__(path, to)

    def end_events(self) -> int:
        """Hang up on who listens to events, as a proxy does with what is idle; on how many."""
        with self._lock:
            ended, self._listening = self._listening & self._open, set()
        self._hang_up(*ended)
        return len(ended)

    def _directions(self, here: socket.socket, there: socket.socket) -> Directions:
        return (self._pass_on_requests, (here, there)), (self._pass_on, (there, here))

    def _pass_on_requests(self, source: socket.socket, sink: socket.socket) -> None:
        """Nobody asks again before the answer is there, so answers need no looking into."""
        with suppress(OSError), source.makefile("rb") as reader:
            while request := _read_request(reader):
                method, path = request.split(b" ", 2)[:2]
                if b"/events" in path:
                    self._listening.add(source)
                fault = self.meddle(method.decode(), path.decode())
                edit = self.rewrite(method.decode(), path.decode())
                if edit is not None:
                    status, body = self._carry_out(request)
                    source.sendall(_answer(status, edit(body)))
                    self.rewritten += 1
                elif fault is None:
                    sink.sendall(request)
                else:
                    self._suffer(fault, request, source)
        self._hang_up(source, sink)

    def _suffer(self, fault: Fault, request: bytes, source: socket.socket) -> None:
        self.faults[fault] += 1
        if fault in (Fault.DENIED, Fault.UNANSWERED):
            self._carry_out(request)
        if fault in (Fault.REFUSED, Fault.DENIED):
            status, message = self.failure
            source.sendall(_answer(status, json.dumps({"message": message}).encode()))

    def _carry_out(self, request: bytes) -> tuple[int, bytes]:
        """On a connection of its own; status and body of the answer, which nobody else sees."""
        with suppress(OSError, HTTPException), socket.socket(socket.AF_UNIX) as engine:
            engine.connect(str(self._to))
            engine.sendall(request)
            answer = HTTPResponse(engine)
            answer.begin()
            return answer.status, answer.read()
        return 500, b""


@contextmanager
def an_http_line(path: Path, to: Path) -> Iterator[HttpLine]:
    """A line that is cut at the end."""
    line = HttpLine(path, to)
    try:
        yield line
    finally:
        line.cut()


def a_share(fault: Fault, share: float, seed: int) -> Meddle:
    """A fault for a share of all requests: the same ones each time, as far as their order is."""
    chance, lock = random.Random(seed), threading.Lock()

    def meddle(method: str, path: str) -> Fault | None:
        del method
        with lock:
            struck = chance.random() < share
        # Events are answered for as long as they are listened to.
        return fault if struck and not (fault is Fault.DENIED and "/events" in path) else None

    return meddle


def answers(method: str, end: str, edit: Callable[[bytes], bytes]) -> Rewrite:
    """Another body for the answers to requests whose path ends so."""

    def rewrite(asked: str, path: str) -> Callable[[bytes], bytes] | None:
        return edit if asked == method and path.partition("?")[0].endswith(end) else None

    return rewrite


def requests(method: str, ends: str | tuple[str, ...], fault: Fault) -> Meddle:
    """A fault for the requests whose path ends so."""

    def meddle(asked: str, path: str) -> Fault | None:
        return fault if asked == method and path.partition("?")[0].endswith(ends) else None

    return meddle


def _answer(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} \r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _read_request(reader: BufferedReader) -> bytes:
    """A whole request; empty once there are no more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (line := reader.readline()):
            return b""
        head += line
    fields = [line.partition(b":") for line in head.lower().split(b"\r\n")]
    length = next((int(value) for name, _, value in fields if name == b"content-length"), 0)
    return head + reader.read(length)
