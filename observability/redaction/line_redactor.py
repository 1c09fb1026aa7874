"""Replaces secrets in a text that arrives line by line, without waiting for its end.

A line that could be the beginning of a secret is held back until the next lines have decided it.
What comes out is what `Redactor` makes of the whole text, except that each line stays one.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from observability.redaction.redactor import MOST_CHARACTERS, REDACTED, Redactor, hide
from observability.redaction.string_search import AhoCorasick
from observability.redaction.unescaping import (
    Reading,
    decided,
    folded,
    has_escapes,
    readings,
    verbatim,
)


@dataclass(slots=True)
class _Piece:
    """A line, or a part of a long one, with its place in the whole text."""

    text: str
    start: int
    covered: bytearray

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class LineRedactor:
    """Gets the lines of one text, and gives them back in the same order: often at once.

    It holds back no more than `most` characters, and never shows a part of a secret for that.
    """

    def __init__(self, redactor: Redactor, *, most: int = MOST_CHARACTERS) -> None:
        self._clean = not redactor.has_secrets
        self._search = redactor.search
        self._most = most
        self._readers = [_Reader(self._search) for _ in range(3)] if self._search else []
        self._pieces: deque[_Piece] = deque()
        self._end = 0  # of the text so far
        self._undecided = ""  # the end of a part of a line, which the next part goes on with
        self._lost = False  # the rest of the line cannot be searched

    @property
    def holds(self) -> bool:
        """Whether it holds back anything."""
        return bool(self._pieces)

    def add(self, text: str, *, ends: bool = True) -> Sequence[str]:
        """Add a line without its end; with `ends` false, a part of one. What is decided by now.

        For each line and each part there is one text. An escape at the end of a part is shown in
        the next one.
        """
        if self._clean:
            return [text]
        if not self._readers:
            return [REDACTED if text else ""]
        whole, self._undecided = self._undecided + text, ""
        if not ends:
            whole = self._decided(whole)
        self._search_in(whole, "\n" if ends else "")
        if self._lost:
            self._cover(self._pieces[-1].start, self._end)
        self._lost = self._lost and not ends
        shown = list(self._release(min(reader.open_since for reader in self._readers)))
        too_much = self._pieces and self._end - self._pieces[0].start > self._most
        return [*shown, *self.settle()] if too_much else shown

    def settle(self) -> Sequence[str]:
        """All that is held back; what could be the beginning of a secret counts as one."""
        for reader in self._readers:
            self._cover(reader.open_since, self._end)
        return list(self._release(self._end))

    def _decided(self, text: str) -> str:
        """The part of it that can be searched; the rest waits for what follows, within limits."""
        end = decided(text)
        if len(text) - end > self._most:
            self._lost, end = True, len(text)
        self._undecided = text[end:]
        return text[:end]

    def _search_in(self, text: str, line_end: str) -> None:
        self._pieces.append(_Piece(text, self._end, bytearray(len(text))))
        spoken, start = text + line_end, self._end
        self._end += len(spoken)
        for reader, reading in zip(self._readers, _readings(spoken), strict=True):
            for first, after in reader.read(reading, start, self._end):
                self._cover(first, after)

    def _cover(self, start: int, end: int) -> None:
        """Hide a part of the whole text, as far as it is still here."""
        for piece in reversed(self._pieces):
            if piece.end <= start:
                return
            first, after = max(start, piece.start), min(end, piece.end)
            if first < after:
                length = after - first
                at = first - piece.start
                piece.covered[at : at + length] = b"\1" * length

    def _release(self, open_since: int) -> Iterator[str]:
        """The pieces that are final: no open match reaches into them, or they are covered."""
        while self._pieces:
            piece = self._pieces[0]
            if 0 in piece.covered[max(0, open_since - piece.start) :]:
                return
            self._pieces.popleft()
            yield hide(piece.text, piece.covered)


class _Text:
    """A reading whose places in the original are found out when they matter, which is seldom."""

    def __init__(self, text: str, reading: Callable[[], Reading]) -> None:
        self.text = text
        self._reading = reading

    @cached_property
    def places(self) -> Reading:
        return self._reading()


def _readings(text: str) -> Sequence[_Text]:
    """The same as `verbatim` and `readings`."""
    without_quotes = _Text(folded(text), lambda: next(readings(text)))
    if not has_escapes(text):
        return _Text(text, lambda: verbatim(text)), without_quotes, without_quotes
    *_, decoded = readings(text)
    return _Text(text, lambda: verbatim(text)), without_quotes, _Text(decoded.text, lambda: decoded)


class _Reader:
    """Reads the whole text in one of these ways, and knows what it is in the middle of."""

    def __init__(self, search: AhoCorasick) -> None:
        self._search = search
        self._state = 0
        self._open: list[int] = []  # places of what may be the beginning of a secret
        self._end = 0

    @property
    def open_since(self) -> int:
        """Where a secret may have begun that has not ended yet."""
        return self._open[0] if self._open else self._end

    def read(self, part: _Text, start: int, end: int) -> Sequence[tuple[int, int]]:
        """Read on, from one place to another. Which parts of the text are secret."""
        found, self._state = self._search.read(part.text, self._state)
        depth = self._search.depth(self._state)
        self._end = end
        if not found and not depth:
            self._open.clear()
            return ()
        before, places = self._open, part.places
        covered = [
            (
                start + places.starts[first] if first >= 0 else before[first],
                start + places.ends[after - 1],
            )
            for first, after in found
        ]
        before += [start + place for place in places.starts[-depth:]] if depth else ()
        del before[: len(before) - depth]
        return _merged(covered)


def _merged(parts: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """The same parts without overlaps. They are in the order of their ends."""
    merged: list[tuple[int, int]] = []
    for first, after in reversed(parts):
        if merged and after >= merged[-1][0]:
            merged[-1] = min(first, merged[-1][0]), merged[-1][1]
        else:
            merged.append((first, after))
    return merged
