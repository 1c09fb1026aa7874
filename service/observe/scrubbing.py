"""Removes the secrets from the output of a job while it is printed, and keeps its order."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from observability.redaction.line_redactor import LineRedactor
from observability.redaction.redactor import Redactor
from service.engine.output import Printed
from service.support.loop_time import loop_time

# How long a line may wait for the next one, which shows whether it is the beginning of a secret
# (seconds). After that, the part in question is hidden.
LONGEST_HELD = 1.0


@dataclass(slots=True)
class _Line:
    printed: Printed
    since: float  # when it came
    shown: str | None = None


class Scrubber:
    """Gets the lines of both streams, and gives them back without secrets and in the same order.

    Each stream is searched by itself: lines of the other one may be between those of a secret.
    """

    def __init__(self, redact: Redactor) -> None:
        self._redact = redact
        self._redactors: dict[str, LineRedactor] = {}
        self._held: dict[str, deque[_Line]] = {}  # of each stream
        self._lines: deque[_Line] = deque()

    @property
    def time_left(self) -> float | None:
        """How long lines may still be held back (seconds); None if none is."""
        if not self._lines:
            return None
        return max(0.0, self._lines[0].since + LONGEST_HELD - loop_time())

    def add(self, printed: Printed) -> None:
        """Add a line."""
        stream = printed.stream
        if stream not in self._redactors:
            self._redactors[stream] = LineRedactor(self._redact)
            self._held[stream] = deque()
        line = _Line(printed, loop_time())
        self._lines.append(line)
        self._held[stream].append(line)
        self._note(stream, self._redactors[stream].add(printed.text, ends=printed.ends))

    def take(self) -> Sequence[Printed]:
        """The lines that may be shown by now."""
        if self.time_left == 0:
            self._settle(self._lines[0].printed.stream)
        taken = []
        while self._lines and (shown := self._lines[0].shown) is not None:
            taken.append(self._lines.popleft().printed._replace(text=shown))
        return taken

    def rest(self) -> Sequence[Printed]:
        """The lines that are left, without parts that may be the beginning of a secret."""
        for stream in self._redactors:
            self._settle(stream)
        return self.take()

    def _settle(self, stream: str) -> None:
        self._note(stream, self._redactors[stream].settle())

    def _note(self, stream: str, decided: Sequence[str]) -> None:
        held = self._held[stream]
        for shown in decided:
            held.popleft().shown = shown
