"""Replaces secrets in a text: which parts of a secret count, and what is shown instead."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from itertools import accumulate
from urllib.parse import quote

from observability.redaction.string_search import AhoCorasick
from observability.redaction.unescaping import readings, verbatim

REDACTED = "[redacted]"
# Above these limits a search would take too long, and the whole text is redacted.
MOST_CHARACTERS = 65_536
_MOST_IN_SECRETS = 16_384
# Secrets with fewer letters and digits are too common in any text.
_LEAST = 4

_ESCAPED_LINE_END = re.compile(r"\\[nr]")
# A secret that consists of quotes: without quotes it would be empty.
_BARE = re.compile(r"[\\'\"$+\s]*")
# A private-use character, which is in no secret.
_BETWEEN = "\U0010fe00"
_HIDDEN = re.compile(rb"\x01+")


class Redactor:
    """Replaces every string of a secret structure, in any spelling.

    A worker may print its arguments as JSON, as Python's repr, in a URL, or as one inside another.
    It may print single lines of a secret (a PEM key), or single values of one that is JSON. Keys
    are not secret, and short numbers are not replaced.
    """

    def __init__(self, secrets: object = None) -> None:
        self._secrets = secrets

    def __call__(self, text: str) -> str:
        if not text or not self.has_secrets:
            return text
        if len(text) > MOST_CHARACTERS or self.search is None:
            return REDACTED
        return hide(text, covered_in(text, self.search))

    def and_of(self, secrets: object) -> "Redactor":
        """One that replaces these secrets as well."""
        return Redactor([self._secrets, secrets])

    @property
    def has_secrets(self) -> bool:
        """Whether there is anything to replace."""
        return bool(self._parts)

    @cached_property
    def _parts(self) -> set[str]:
        """The secret strings. Computed when first needed: most jobs never print anything."""
        return set(_parts_of(self._secrets)) - {""}

    @cached_property
    def search(self) -> AhoCorasick | None:
        """The search, or None if it would take too long."""
        if sum(map(len, self._parts)) > _MOST_IN_SECRETS:
            return None
        needles = set(_needles(self._parts))
        return AhoCorasick(needles) if sum(map(len, needles)) <= 3 * _MOST_IN_SECRETS else None


NO_SECRETS = Redactor()


def _parts_of(secrets: object) -> Iterator[str]:
    """Every string with its lines (or its values if it is JSON), and every long number."""
    left = [secrets]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value.strip()
            inner = _parsed(value)
            left.append(inner)
            if inner is None:
                yield from _lines(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if len(str(value)) >= _LEAST:
                yield str(value)
        elif isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list):
            left += value


def _parsed(secret: str) -> object:
    """The object or list in a string that is JSON, or None."""
    if secret.lstrip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            return json.loads(secret)
    return None


def _lines(secret: str) -> Iterator[str]:
    for line in _ESCAPED_LINE_END.sub("\n", secret).splitlines():
        if sum(map(str.isalnum, line)) >= _LEAST:
            yield line.strip()


def _needles(parts: set[str]) -> Iterator[str]:
    """The strings to search for in the readings of a text."""
    bare = {part for part in parts if _BARE.fullmatch(part)}
    for part in bare:
        yield from _spelled(part)
    for reading in readings(_BETWEEN.join(parts - bare)):
        yield from filter(str.strip, reading.text.split(_BETWEEN))


def _spelled(bare: str) -> set[str]:
    """The usual spellings of a secret that consists of quotes, nested at most once."""
    once = {bare, json.dumps(bare)[1:-1], repr(bare)[1:-1], quote(bare, safe="")}
    return once.union(*({json.dumps(way)[1:-1], repr(way)[1:-1], quote(way)} for way in once))


def covered_in(text: str, search: AhoCorasick) -> bytes:
    """For each character, whether it is a part of a secret in any reading."""
    changes = [0] * (len(text) + 1)
    for reading in (verbatim(text), *readings(text)):
        for first, after in search(reading.text):
            changes[reading.starts[first]] += 1
            changes[reading.ends[after - 1]] -= 1
    return bytes(map(bool, accumulate(changes)))


def hide(text: str, covered: bytes | bytearray) -> str:
    """A text without the characters that are covered, each of which is 1."""
    shown, done = [], 0
    for run in _HIDDEN.finditer(covered):
        hidden = text[run.start() : run.end()]
        # Line ends stay: a newline reads like an `n`, so it may match a secret.
        shown += [text[done : run.start()], hidden if hidden.isspace() else REDACTED]
        done = run.end()
    return "".join(shown) + text[done:]
