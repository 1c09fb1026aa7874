"""Parses the Engine's answer to a request for logs with timestamps. Makes no calls.

The output of a container with a terminal is a stream of lines. Any other output comes in frames,
which name their stream. A long line is in several frames, each with its own time.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from struct import Struct

from service.engine.docker.parsing import Unreadable
from service.engine.output import Printed
from service.errors import EngineRefused

# The header of a frame: its kind and its length.
_FRAME = Struct(">BxxxL")
_LONGEST_FRAME = 16 * 2**20  # Docker's have 16 KiB
_STREAMS = {0: "stdout", 1: "stdout", 2: "stderr"}
_ERRORS = 3  # of a Swarm's manager, which reports them in the stream
_NODE_AWAY = re.compile(rb"node \w+ is not available")
# Of tasks that have never had a node, a manager complains as well: they have no output.
_NEVER_RAN = re.compile(rb"reasons:(?:,? task \w+ has not been scheduled)+\s*$")
_TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ?")
_LONGEST_TIME = 40
# Of a line. A longer one is returned in parts.
_LONGEST = 32 * 1024
_LONGEST_CHARACTER = 4  # bytes
_INSIDE = range(0x80, 0xC0)  # what follows the first byte of a character in UTF-8


def reported_error(payload: bytes) -> EngineRefused:
    """The error that a Swarm's manager reports in the stream: mostly that a node is gone."""
    if _NODE_AWAY.search(payload):
        return EngineRefused("the node that it ran on is not available")
    return EngineRefused(payload.decode(errors="replace").strip())


@dataclass(slots=True)
class _Line:
    """The line of a stream that has not ended yet."""

    stream: str
    at: int = 0
    data: bytearray = field(default_factory=bytearray)
    begun: bool = False

    def take(self, size: int, *, ends: bool) -> Printed:
        """The line, or its first bytes. What is not text becomes U+FFFD."""
        data = bytes(self.data[:size])
        del self.data[:size]
        self.begun = not ends
        if ends:
            data = data.removesuffix(b"\n").removesuffix(b"\r")
        return Printed(self.stream, data.decode(errors="replace"), self.at, ends)

    def whole_parts(self) -> Iterator[Printed]:
        """The parts of a line that is too long. No character is cut in two."""
        while len(self.data) > _LONGEST:
            first = _LONGEST - _LONGEST_CHARACTER
            begun = (at for at in range(_LONGEST, first, -1) if self.data[at] not in _INSIDE)
            yield self.take(next(begun, _LONGEST), ends=False)


class LogParser:
    """Reads one answer, in whatever pieces it arrives."""

    def __init__(self) -> None:
        self._left = bytearray()
        self._lines = {stream: _Line(stream) for stream in ("stdout", "stderr")}
        self._read: Callable[[], Iterator[Printed]] | None = None
        self._error: EngineRefused | None = None  # what a manager has reported last

    def feed(self, data: bytes) -> list[Printed]:
        """The lines that are complete by now. Raises `Unreadable`."""
        self._left += data
        if self._read is None and self._left:
            # A frame begins with a small number, a timestamp with a digit.
            has_frames = self._left[0] <= max(*_STREAMS, _ERRORS)
            self._read = self._read_frames if has_frames else self._read_lines
        return list(self._read()) if self._read else []

    def check(self) -> None:
        """Raise `EngineRefused` if a manager has reported an error, which ends its answer."""
        if self._error is not None:
            raise self._error

    def rest(self) -> list[Printed]:
        """The lines that have not ended, once the answer is complete. Raises `EngineRefused`."""
        self.check()
        if self._read == self._read_lines and self._left:
            self._left += b"\n"
            return list(self._read_lines())
        return [line.take(len(line.data), ends=True) for line in self._lines.values() if line.data]

    def _read_frames(self) -> Iterator[Printed]:
        left, at = self._left, 0
        while len(left) - at >= _FRAME.size:
            kind, length = _FRAME.unpack_from(left, at)
            if kind != _ERRORS and (kind not in _STREAMS or length > _LONGEST_FRAME):
                raise Unreadable("a frame of the output is malformed")
            start, end = at + _FRAME.size, at + _FRAME.size + length
            if end > len(left):
                break
            payload = bytes(left[start:end])
            at = end
            if kind != _ERRORS:
                yield from self._add(self._lines[_STREAMS[kind]], payload)
            elif not _NEVER_RAN.search(payload):
                self._error = reported_error(payload)
                break
        del left[:at]

    def _read_lines(self) -> Iterator[Printed]:
        *whole, left = bytes(self._left).split(b"\n")
        line = self._lines["stdout"]
        for each in whole:
            if line.begun:
                yield from self._go_on(line, each + b"\n")
            else:
                yield from self._add(line, each + b"\n")
        if len(left) > _LONGEST + _LONGEST_TIME:
            yield from self._go_on(line, left) if line.begun else self._add(line, left)
            left = b""
        self._left = bytearray(left)

    def _add(self, line: _Line, payload: bytes) -> Iterator[Printed]:
        at, text = _timed(payload)
        if not (line.data or line.begun):
            line.at = at or line.at
        yield from self._go_on(line, text)

    def _go_on(self, line: _Line, text: bytes) -> Iterator[Printed]:
        line.data += text
        yield from line.whole_parts()
        if line.data.endswith(b"\n"):
            yield line.take(len(line.data), ends=True)


def text_of(answer: bytes) -> str:
    """The text of a whole answer. Raises `Unreadable` and `EngineRefused`."""
    parser = LogParser()
    printed = [*parser.feed(answer), *parser.rest()]
    return "".join(f"{each.text}\n" if each.ends else each.text for each in printed)


def _timed(payload: bytes) -> tuple[int, bytes]:
    """The time of a line or frame, and the rest of it. The time is 0 if there is none."""
    match = _TIME.match(payload[:_LONGEST_TIME])
    if match is None:
        return 0, payload
    seconds, fraction, zone = match.groups()
    whole = _epoch(seconds + zone)
    return whole * 10**9 + int((fraction or b"").ljust(9, b"0")), payload[match.end() :]


@lru_cache(maxsize=64)
def _epoch(text: bytes) -> int:
    try:
        return int(datetime.fromisoformat(text.decode()).timestamp())
    except ValueError:
        return 0
