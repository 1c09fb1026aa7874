"""Reads a text without its quoting, so that what was quoted is found however it was.

A worker prints its arguments as JSON inside Python's repr inside a log line, or a shell traces
them: a list of spellings would never be complete. So a text, and what is looked for in it, are
read by the same rules, which undo the escapes at every depth and drop what quotes.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html.entities import html5
from itertools import compress
from sys import maxunicode

_HEX = "[0-9A-Fa-f]"
_ASCII = 128
# A character that followed a backslash is kept apart: it is not a part of a further escape.
_APART = 0x10FF00


@dataclass(frozen=True, slots=True)
class _Escape:
    """How an escape looks, how long it is at most, and the character that it means, if any."""

    pattern: re.Pattern[str]
    longest: int
    meaning: Callable[[re.Match[str]], str]


def _by_number(match: re.Match[str]) -> str:
    kind = str(match.lastgroup)
    code = int(match[kind], {"octal": 8, "decimal": 10}.get(kind, 16))
    return chr(code) if code <= maxunicode else ""


def _by_backslash(match: re.Match[str]) -> str:
    meant = _by_number(match)
    is_apart = meant and ord(meant) < _ASCII and meant not in _ESCAPES
    return chr(_APART + ord(meant)) if is_apart else meant


def _by_name(match: re.Match[str]) -> str:
    if match.lastgroup != "name":
        return _by_number(match)
    meant = html5.get(match["name"], "")
    return meant if len(meant) == 1 else ""


def _in_utf8(match: re.Match[str]) -> str:
    return match[0].encode("latin-1").decode(errors="ignore")


def _in_utf16(match: re.Match[str]) -> str:
    return match[0].encode("utf-16-be", "surrogatepass").decode("utf-16-be")


_BACKSLASH = re.compile(
    rf"\\(?:x(?P<x>{_HEX}{{2}})|u(?P<u>{_HEX}{{4}})|U(?P<U>{_HEX}{{8}})"
    rf"|[ux]\{{(?P<braced>{_HEX}{{1,6}})\}}|(?P<octal>0[0-3][0-7]|177|[23][0-7]{{2}}))"
)
_PERCENT = re.compile(rf"%(?:(?P<x>{_HEX}{{2}})|u(?P<u>{_HEX}{{4}}))")
_HTML = re.compile(
    r"&(?:(?P<name>[A-Za-z][A-Za-z0-9]{1,30};)"
    rf"|#(?:(?P<decimal>[0-9]{{1,8}})|[xX](?P<x>{_HEX}{{1,6}}));)"
)
# In octal only what shells write so, bytes and controls: a secret may well begin with digits.
# A byte is taken for the character of its number (Latin-1), and for a part of one (UTF-8) where
# it can be. For Python's ascii() of "Ã¤" and a shell's spelling of "ä" are the same, `\xc3\xa4`.
_KINDS = {
    "\\": _Escape(_BACKSLASH, 10, _by_backslash),
    "%": _Escape(_PERCENT, 6, _by_number),
    "&": _Escape(_HTML, 33, _by_name),
    "\xc2-\xdf": _Escape(re.compile("[\xc2-\xdf][\x80-\xbf]"), 2, _in_utf8),
    "\xe0-\xef": _Escape(re.compile("[\xe0-\xef][\x80-\xbf]{2}"), 3, _in_utf8),
    "\xf0-\xf4": _Escape(re.compile("[\xf0-\xf4][\x80-\xbf]{3}"), 4, _in_utf8),
    "\ud800-\udbff": _Escape(re.compile("[\ud800-\udbff][\udc00-\udfff]"), 2, _in_utf16),
}
_ESCAPES = {
    chr(mark): escape
    for marks, escape in _KINDS.items()
    for mark in range(ord(marks[0]), ord(marks[-1]) + 1)
}
_MARKS = r"\\%&" + "\xc2-\xf4\ud800-\udbff"
_TOKEN = re.compile(rf"\\+|[{_MARKS}]|[^{_MARKS}]+")

# A newline is the same as the `n` of its escape: so a backslash never has to be taken for either
# the beginning of an escape or the end of a domain (CORP\nancy).
_SAME = {"\a": "a", "\b": "b", "\x1b": "E", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v"}
_SAME |= {"+": " "} | dict.fromkeys("\\'\"$", "")
_FOLDED = str.maketrans(_SAME | {chr(_APART + n): _SAME.get(chr(n), chr(n)) for n in range(_ASCII)})
_DROPPED = {chr(code) for code, same in _FOLDED.items() if not same}


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as it was read, and for each of its characters where its spelling begins and ends."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


def verbatim(text: str) -> Reading:
    """Read as it stands."""
    return Reading(text, range(len(text)), range(1, len(text) + 1))


def readings(text: str) -> Iterator[Reading]:
    """Read without what quotes, and then without escapes, too.

    Twice, since a secret may stand where, with what surrounds it, it looks like an escape.
    """
    yield _folded(verbatim(text))
    decoder = _Decoder()
    for token in reversed(list(_TOKEN.finditer(text))):
        decoder.push(token[0], token.start(), token.end())
    yield _folded(decoder.reading())


def _folded(reading: Reading) -> Reading:
    """Without what quotes, and with one character for all that may be spelled alike."""
    kept = [character not in _DROPPED for character in reading.text]
    return Reading(
        reading.text.translate(_FOLDED),
        list(compress(reading.starts, kept)),
        list(compress(reading.ends, kept)),
    )


@dataclass(slots=True)
class _Decoder:
    """Takes a text from its end, so that what follows the mark of an escape is decoded already.

    One pass is enough for any depth: what an escape means may be the mark of another.
    """

    _characters: list[str] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)

    def push(self, token: str, start: int, end: int) -> None:
        """Take a mark, a run of backslashes, or a run of characters that are neither."""
        if token[0] in _ESCAPES:
            self._push_mark(token[0], start, end)
        else:
            self._characters += token[::-1]
            self._starts += range(end - 1, start - 1, -1)
            self._ends += range(end, start, -1)

    def reading(self) -> Reading:
        """What was taken, from its beginning."""
        return Reading("".join(self._characters[::-1]), self._starts[::-1], self._ends[::-1])

    def _push_mark(self, mark: str, start: int, end: int) -> None:
        """Replace an escape by what it means, as long as that is the mark of another."""
        while found := self._escape(mark):
            mark, length = found
            end = self._ends[-length]
            del self._characters[-length:], self._starts[-length:], self._ends[-length:]
        if mark == "\\":
            self._push_backslash(start)
        else:
            self._characters.append(mark)
            self._starts.append(start)
            self._ends.append(end)

    def _escape(self, mark: str) -> tuple[str, int] | None:
        """What the escape with this mark means, and how much of it follows the mark."""
        if (escape := _ESCAPES.get(mark)) is None:
            return None
        following = "".join(self._characters[: -escape.longest : -1])
        match = escape.pattern.match(mark + following)
        meaning = escape.meaning(match) if match else ""
        return (meaning, match.end() - 1) if match and meaning else None

    def _push_backslash(self, start: int) -> None:
        r"""One without a number after it: it belongs to the next character, as in `\n`."""
        if self._characters:
            self._starts[-1] = start
            if "A" <= self._characters[-1] <= "z":
                self._characters[-1] = chr(_APART + ord(self._characters[-1]))
