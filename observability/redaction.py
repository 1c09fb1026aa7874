"""Keeps secrets out of texts that other programs wrote: a worker's output, an Engine's message."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property

REDACTED = "[redacted]"
# Above this, to search would take seconds: then nothing of the text is shown.
_MOST_CHARACTERS = 16_384
_LEAST_DIGITS = 4

_SHORT_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}


class Redactor:
    """Replaces every string of a secret structure, however a program spells it.

    A worker that prints its arguments prints JSON, Python's repr, a URL, or one inside another,
    rather than the bare string; a secret of several lines (a PEM key) may come a line at a time.
    Keys are names and no secrets; short numbers cannot be told from any other.
    """

    def __init__(self, secrets: object = None) -> None:
        self._secrets = secrets

    def __call__(self, text: str) -> str:
        """The text with every secret replaced."""
        return self._pattern.sub(REDACTED, text) if self._pattern else text

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        """Made when it is first needed: most launches never print anything."""
        parts = {part for secret in _strings(self._secrets) for part in _parts(secret)}
        if sum(map(len, parts)) > _MOST_CHARACTERS:
            return re.compile(r"(?s:.+)")
        longest_first = sorted(parts, key=lambda part: (-len(part), part))
        return re.compile("|".join(map(_spelled, longest_first))) if parts else None


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if len(str(value)) >= _LEAST_DIGITS:
            yield str(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _parts(secret: str) -> Iterator[str]:
    """The secret as a whole, and each of its lines."""
    for text in (secret, *secret.splitlines()):
        if stripped := text.strip():
            yield stripped


def _spelled(secret: str) -> str:
    """A pattern for every spelling of the secret, at whatever depth of quoting.

    Each escape is a run of backslashes, which grows with each quoting of the quoted; so a run of
    backslashes in the secret is one, too, which also keeps the search from backtracking.
    """
    return "".join(map(_spelled_character, re.sub(r"\\+", r"\\", secret)))


def _spelled_character(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    if character == "\\":
        return r"(?:\\+(?:u005[cC]|x5[cC])?|(?:%5[cC])+)"
    ways = [r"\\*" + re.escape(character), *_escapes(character)]
    if short := _SHORT_ESCAPES.get(character):
        ways.append(r"\\+" + short)
    if character == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join(ways)})"


def _escapes(character: str) -> Iterator[str]:
    """By number: as JSON and Python write it, as bytes, and as in a URL."""
    octets = character.encode()
    units = character.encode("utf-16-be").hex()
    yield "".join(rf"\\+u(?i:{units[i : i + 4]})" for i in range(0, len(units), 4))
    yield rf"\\+U(?i:{ord(character):08x})"
    yield rf"\\+x(?i:{ord(character):02x})"
    yield "".join(rf"\\+x(?i:{octet:02x})" for octet in octets)
    yield "".join(rf"%(?i:{octet:02x})" for octet in octets)
