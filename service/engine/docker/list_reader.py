"""Reads long lists from the Engine in a thread, element by element.

`json.loads` holds the interpreter's lock until it is done, which blocks the event loop. Here, each
element is decoded by itself, with pauses in between.
"""

import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any, TypeVar

from service.engine.docker.parsing import Unreadable

T = TypeVar("T")

Decode = Callable[[str, int], tuple[Any, int]]
"""Decodes the value at a position, and returns its end as well. Raises `JSONDecodeError`."""

decode_json: Decode = JSONDecoder().raw_decode

_BLANKS = " \t\n\r"
# The characters after a complete value in a list. Before others, a number may be incomplete.
_AFTER = frozenset(f"{_BLANKS},]")
# A busy thread holds the interpreter's lock for 5 ms at a time, unless it sleeps (seconds).
_WORK, _PAUSE = 0.0005, 0.00005


def with_pauses(items: Iterable[T]) -> Iterator[T]:
    """The same items, with pauses in which the event loop can run."""
    clock = time.perf_counter
    until = clock() + _WORK
    for item in items:
        yield item
        if clock() > until:
            time.sleep(_PAUSE)
            until = clock() + _WORK


def elements(chunks: Iterable[bytes], decode: Decode = decode_json) -> Iterator[Any]:
    """The elements of a JSON list, each as soon as it has arrived. Raises `Unreadable`."""
    text = _Text(chunks, decode)
    if text.next() != "[":
        raise Unreadable("it is not a list")
    if text.peek() == "]":
        text.next()
    else:
        yield text.value()
        while (separator := text.next()) == ",":
            yield text.value()
        if separator != "]":
            raise Unreadable("it is not JSON")
    if text.next():
        raise Unreadable("it is not JSON")


class _Text:
    """A text that arrives in chunks, and a position in it."""

    def __init__(self, chunks: Iterable[bytes], decode: Decode) -> None:
        self._chunks = iter(chunks)
        self._decode = decode
        self._characters = getincrementaldecoder("utf-8")().decode
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """The next character that is not a blank, or "" at the end."""
        while True:
            while self._at < len(self._text):
                if (character := self._text[self._at]) not in _BLANKS:
                    return character
                self._at += 1
            if not self._read():
                return ""

    def next(self) -> str:
        """Consume the next character that is not a blank."""
        character = self.peek()
        self._at += 1
        return character

    def value(self) -> Any:
        """Consume the next value."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except JSONDecodeError:  # it may be incomplete
                if not self._read():
                    raise Unreadable("it is not JSON") from None
                continue
            if self._text[end : end + 1] in _AFTER or not self._read():
                self._at = end
                return value

    def _read(self) -> bool:
        """Read at least as much as is left, so that a long value is not decoded too often."""
        left = self._text[self._at :]
        parts, size = [left], 0
        try:
            for chunk in self._chunks:
                parts.append(self._characters(chunk))
                size += len(parts[-1])
                if size > len(left):
                    break
        except UnicodeDecodeError:
            raise Unreadable("it is not JSON") from None
        self._text, self._at = "".join(parts), 0
        return size > 0
