"""Reads a text without its quoting and escapes, so that secrets are found in any spelling.

A worker may print its arguments as JSON inside Python's repr inside a log line, or a shell may
trace them: a list of spellings would never be complete. So texts and secrets are read by the same
rules, which undo escapes at every depth and drop quotes.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html.entities import html5
from itertools import compress
from sys import maxunicode

_HEX = "[0-9A-Fa-f]"
_ASCII = 128
# Added to a character after a backslash, so that it is not taken for a part of another escape.
_APART = 0x10FF00


@dataclass(frozen=True, slots=True)
class _Escape:
    """The pattern of an escape, its maximum length, and the function that decodes it."""

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
# Octal numbers are limited to those of shells, bytes and controls: a secret may begin with digits.
# A byte is read as a Latin-1 character, or as a part of a UTF-8 sequence if it can be: `\xc3\xa4`
# is both Python's ascii() of "Ã¤" and a shell's spelling of "ä".
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

# A newline reads like the `n` of its escape. So it does not matter whether a backslash begins an
# escape or ends a domain (CORP\nancy).
_NAMED = {"\a": "a", "\b": "b", "\x1b": "E", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v"}
_SAME: dict[str, str | None] = {**_NAMED, "+": " ", **dict.fromkeys("\\'\"$")}
_FOLDED = str.maketrans(_SAME | {chr(_APART + n): _SAME.get(chr(n), chr(n)) for n in range(_ASCII)})
_DROPPED = {chr(code) for code, same in _FOLDED.items() if not same}

# What neither is a mark nor can be a part of an escape: decoding never goes past it.
_BARRIER = re.compile(rf"[^{_MARKS}0-9A-Za-z#;{{}}\x80-\xbf\udc00-\udfff]")
_MARK = re.compile(f"[{_MARKS}]")
_LONGEST = max(escape.longest for escape in _KINDS.values())


@dataclass(frozen=True, slots=True)
class Reading:
    """A decoded text, with the start and end of each character in the original."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


def verbatim(text: str) -> Reading:
    """The text without any decoding."""
    return Reading(text, range(len(text)), range(1, len(text) + 1))


def readings(text: str) -> Iterator[Reading]:
    """The text without quotes, and the text without quotes and escapes.

    Both are needed: a secret may look like an escape together with the text around it.
    """
    yield _folded(verbatim(text))
    decoder = _Decoder()
    for token in reversed(list(_TOKEN.finditer(text))):
        decoder.push(token[0], token.start(), token.end())
    yield _folded(decoder.reading())


def has_escapes(text: str) -> bool:
    """Whether decoding may change a text."""
    return _MARK.search(text) is not None


def folded(text: str) -> str:
    """The text of the first of the `readings`."""
    return text.translate(_FOLDED)


def decided(text: str) -> int:
    """How much of a text is decoded alike whatever follows, which begins anew after that."""
    if not has_escapes(text[-_LONGEST:]):
        return len(text)
    barriers = [match.end() for match in _BARRIER.finditer(text)]
    return barriers[-1] if barriers else 0


def _folded(reading: Reading) -> Reading:
    """A reading without quotes, and with one character for all that may be spelled alike."""
    kept = [character not in _DROPPED for character in reading.text]
    return Reading(
        reading.text.translate(_FOLDED),
        list(compress(reading.starts, kept)),
        list(compress(reading.ends, kept)),
    )


@dataclass(slots=True)
class _Decoder:
    """Decodes a text from its end, so that the text after the mark of an escape is decoded already.

    One pass is enough for any depth: a decoded character may be the mark of another escape.
    """

    _characters: list[str] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)

    def push(self, token: str, start: int, end: int) -> None:
        """Add a mark, a run of backslashes, or a run of other characters."""
        if token[0] in _ESCAPES:
            self._push_mark(token[0], start, end)
        else:
            self._characters += token[::-1]
            self._starts += range(end - 1, start - 1, -1)
            self._ends += range(end, start, -1)

    def reading(self) -> Reading:
        return Reading("".join(self._characters[::-1]), self._starts[::-1], self._ends[::-1])

    def _push_mark(self, mark: str, start: int, end: int) -> None:
        """Decode an escape, and again as long as the result is the mark of another."""
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
        """The meaning of the escape with this mark, and its length after the mark."""
        if (escape := _ESCAPES.get(mark)) is None:
            return None
        following = "".join(self._characters[: -escape.longest : -1])
        match = escape.pattern.match(mark + following)
        meaning = escape.meaning(match) if match else ""
        return (meaning, match.end() - 1) if match and meaning else None

    def _push_backslash(self, start: int) -> None:
        r"""Join a backslash without a number to the next character, as in `\n`."""
        if self._characters:
            self._starts[-1] = start
            if "A" <= self._characters[-1] <= "z":
                self._characters[-1] = chr(_APART + ord(self._characters[-1]))
