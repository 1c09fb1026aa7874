"""Long lists from the Engine, read piece by piece in a thread.

`json.loads` keeps the interpreter to itself until it is done, and with it the event loop. What is
read here is decoded one element at a time, with pauses in between.
"""

import time
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any, TypeVar

from service.engine.docker.answers import Unreadable

T = TypeVar("T")

_DECODER = JSONDecoder()
_BLANKS = " \t\n\r"
# What follows a value in a list. Before anything else, it may be the beginning of a number.
_AFTER = frozenset(f"{_BLANKS},]")
# A thread that computes keeps the interpreter for 5 ms each time, unless it sleeps (seconds).
_WORK, _PAUSE = 0.0005, 0.00005


def with_pauses(items: Iterable[T]) -> Iterator[T]:
    """The same items. Whoever takes them in a thread lets the event loop run in between."""
    clock = time.perf_counter
    until = clock() + _WORK
    for item in items:
        yield item
        if clock() > until:
            time.sleep(_PAUSE)
            until = clock() + _WORK


def elements(chunks: Iterable[bytes]) -> Iterator[Any]:
    """The elements of a list in JSON, each as soon as it is there. Raises `Unreadable`."""
    text = _Text(chunks)
    if text.next() != "[":
        raise Unreadable("it is no list")
    if text.peek() == "]":
        text.next()
    else:
        yield text.value()
        while (separator := text.next()) == ",":
            yield text.value()
        if separator != "]":
            raise Unreadable("it is no JSON")
    if text.next():
        raise Unreadable("it is no JSON")


class _Text:
    """A text that comes in chunks, and a place in it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._decode = getincrementaldecoder("utf-8")().decode
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            while self._at < len(self._text):
                if (character := self._text[self._at]) not in _BLANKS:
                    return character
                self._at += 1
            if not self._read():
                return ""

    def next(self) -> str:
        """Likewise, and go past it."""
        character = self.peek()
        self._at += 1
        return character

    def value(self) -> Any:
        """The next value, and go past it."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except JSONDecodeError:  # the rest of it may be still to come
                if not self._read():
                    raise Unreadable("it is no JSON") from None
                continue
            if self._text[end : end + 1] in _AFTER or not self._read():
                self._at = end
                return value

    def _read(self) -> bool:
        """Take in more; as much as is left at least, so that a long value is not read too often."""
        left = self._text[self._at :]
        parts, size = [left], 0
        try:
            for chunk in self._chunks:
                parts.append(self._decode(chunk))
                size += len(parts[-1])
                if size > len(left):
                    break
        except UnicodeDecodeError:
            raise Unreadable("it is no JSON") from None
        self._text, self._at = "".join(parts), 0
        return size > 0
