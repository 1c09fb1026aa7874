"""What comes out line by line is what `Redactor` makes of the whole text."""

import json
import re
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.redaction.line_redactor import LineRedactor
from observability.redaction.redactor import REDACTED, Redactor, covered_in, hide

# Few different ones, so that much of a text is a part of a secret, or of an escape.
_CHARACTERS = "ab\\%&n;'\" x61\n"
_SECRETS = st.lists(st.text(_CHARACTERS, min_size=1, max_size=8), min_size=1, max_size=4)
_LINES = st.lists(st.text(_CHARACTERS.replace("\n", ""), max_size=12), max_size=8)
# Nothing goes on in it.
_LAST = "=" * 40
PEM = "-----BEGIN KEY-----\nab\nMIIEowIBAAK\nCA\n-----END KEY-----\n"


def _covered(secrets: object, lines: Sequence[str]) -> Sequence[bytes]:
    """For each character of each line, whether it is a part of a secret in the whole text."""
    text, redactor = "".join(f"{line}\n" for line in lines), Redactor(secrets)
    left = covered_in(text, redactor.search) if redactor.search else b"\1" * len(text)
    parts = []
    for line in lines:
        parts.append(left[: len(line)])
        left = left[len(line) + 1 :]
    return parts


def _of_whole(secrets: object, lines: Sequence[str]) -> Sequence[str]:
    return [hide(*each) for each in zip(lines, _covered(secrets, lines), strict=True)]


def _line_by_line(redactor: LineRedactor, lines: Sequence[str]) -> Sequence[str]:
    return [shown for line in lines for shown in redactor.add(line)] + [*redactor.settle()]


@given(_SECRETS, _LINES)
@settings(max_examples=300)
def test_line_by_line_it_is_the_same_as_of_the_whole(
    secrets: Sequence[str], lines: Sequence[str]
) -> None:
    lines = [*lines, _LAST]
    assert _of_whole(secrets, lines) == _line_by_line(LineRedactor(Redactor(secrets)), lines)


@given(_SECRETS, _LINES, st.lists(st.integers(1, 5), min_size=1))
@settings(max_examples=300)
def test_it_does_not_matter_where_a_long_line_is_cut(
    secrets: Sequence[str], lines: Sequence[str], sizes: Sequence[int]
) -> None:
    lines = [*lines, _LAST]
    redactor, given_parts = LineRedactor(Redactor(secrets)), 0
    shown: list[str] = []
    for line in lines:
        for part, ends in _parts(line, sizes):
            given_parts += 1
            shown += redactor.add(part, ends=ends)
    shown += redactor.settle()
    assert given_parts == len(shown)
    assert _bare("".join(_of_whole(secrets, lines))) == _bare("".join(shown))


def _parts(line: str, sizes: Sequence[int]) -> Sequence[tuple[str, bool]]:
    parts, number = [], 0
    while len(line) > (size := sizes[number % len(sizes)]):
        parts.append((line[:size], False))
        line, number = line[size:], number + 1
    return [*parts, (line, True)]


def _bare(text: str) -> str:
    """A hidden part may have been cut in two, with a blank that is shown between them."""
    return re.sub(rf"({re.escape(REDACTED)}|\s)+", " ", text)


@given(_SECRETS, _LINES, st.sets(st.integers(0, 8)))
@settings(max_examples=300)
def test_whenever_it_may_not_wait_nothing_more_is_shown_than_of_the_whole(
    secrets: Sequence[str], lines: Sequence[str], impatient: set[int]
) -> None:
    lines = [*lines, _LAST]
    redactor = LineRedactor(Redactor(secrets))
    shown: list[str] = []
    for number, line in enumerate(lines):
        shown += redactor.add(line)
        if number in impatient:
            shown += redactor.settle()
            assert not redactor.holds
    shown += redactor.settle()
    for line, covered, out in zip(lines, _covered(secrets, lines), shown, strict=True):
        allowed = "".join(c for c, hidden in zip(line, covered, strict=True) if not hidden)
        assert _is_in(re.sub(r"\s+", "", out.replace(REDACTED, "")), allowed)


def _is_in(shown: str, allowed: str) -> bool:
    """Whether all of it is there in this order."""
    characters = iter(allowed)
    return all(each in characters for each in shown)


def test_only_what_could_be_the_beginning_of_a_secret_is_held_back() -> None:
    redactor = LineRedactor(Redactor({"key": "ab\ncd\nsecret"}))
    assert ["a line"] == redactor.add("a line")
    assert [] == redactor.add("ab")
    assert redactor.holds
    assert [] == redactor.add("cd")
    assert [REDACTED, REDACTED, REDACTED] == redactor.add("secret")
    assert [] == redactor.add("ab")
    assert ["ab", "and so on"] == redactor.add("and so on")


def test_a_head_that_is_a_secret_by_itself_is_not_waited_for() -> None:
    redactor = LineRedactor(Redactor({"key": PEM}))
    assert [REDACTED] == redactor.add("-----BEGIN KEY-----")
    assert [] == redactor.add("ab")
    assert ["ab", "no key"] == redactor.add("no key")


def test_a_head_that_nothing_follows_is_hidden_at_last() -> None:
    redactor = LineRedactor(Redactor({"key": "ab\ncd\nsecret"}))
    assert [] == redactor.add("key: ab")
    assert [f"key: {REDACTED}"] == redactor.settle()
    assert [] == redactor.add("cd")
    assert [REDACTED, REDACTED] == redactor.add("secret")


def test_what_is_held_back_is_bounded() -> None:
    """A worker that knows the secret prints its head, and then what the search drops."""
    redactor = LineRedactor(Redactor({"key": "ab\n" + "cd" * 50}), most=1000)
    shown = [*redactor.add("ab")]
    for _ in range(1001):
        shown += redactor.add("cd'", ends=False)
    assert f"{REDACTED}" == shown[0]
    shown = [*redactor.add("", ends=True)]
    for _ in range(100):
        shown += redactor.add("\\" * 100, ends=False)
    assert REDACTED in shown
    assert [REDACTED] == redactor.add("the rest of a line that cannot be searched")
    assert ["another line"] == redactor.add("another line")


def test_where_the_secrets_are_too_large_to_be_searched_for_nothing_is_shown() -> None:
    redactor = LineRedactor(Redactor({"t": "\u0436" * 16_385}))
    assert [[REDACTED], [""]] == [redactor.add("a line"), redactor.add("")]


def test_without_secrets_all_is_shown() -> None:
    assert ["a line"] == LineRedactor(Redactor()).add("a line")


_PLAIN = "INFO 2026-11-30 the worker has done what it was told, number 1234"
_ESCAPED = json.dumps({"message": json.dumps({"a": 'the "worker" has', "b": "done %20 & more"})})


@pytest.mark.parametrize(
    ("line", "most"), [(_PLAIN, 0.2), (_ESCAPED, 1.0), ("ab", 2.4), ("-" * 64, 0.8)]
)
def test_it_takes_time_in_proportion(line: str, most: float) -> None:
    """Seconds of processor time for 300 kB; a quarter of it was measured."""
    redactor = LineRedactor(Redactor({"key": PEM, "token": "s3cretTokenValue", "x": "a" * 300}))
    number = 300_000 // (len(line) + 1)
    began = time.process_time()
    for _ in range(number):
        redactor.add(line)
    taken = time.process_time() - began
    assert taken < most
