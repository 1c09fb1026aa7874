from collections.abc import Sequence

import pytest

from service.engine.output import Printed
from service.observe.seen_lines import _OVERLAP, SeenLines


def printed(text: str, at: int, stream: str = "stdout") -> Printed:
    return Printed(stream, text, at)


def test_reading_begins_anew_a_while_before_the_last_line() -> None:
    seen = SeenLines(since=7)
    assert 7 == seen.begin("w")
    seen.fresh([printed("a", 5 * _OVERLAP), printed("b", 3 * _OVERLAP, "stderr")])
    assert 4 * _OVERLAP == seen.begin("w")


@pytest.mark.parametrize(
    ("before", "again"),
    [
        (["one"], ["one", "two", "three"]),
        (["one", "two"], ["one", "two", "three"]),
        (["one", "two", "three"], ["one", "two", "three"]),
    ],
)
def test_of_lines_with_the_same_time_each_comes_once(
    before: Sequence[str], again: Sequence[str]
) -> None:
    seen = SeenLines(0)
    seen.begin("w")
    seen.fresh([printed("older", 4)])
    assert [*before] == [x.text for x in seen.fresh([printed(text, 5) for text in before])]
    for text in ("at once", "and once more"):
        seen.begin("w")
        lines = [printed("older", 4), *(printed(each, 5) for each in again)]
        fresh = seen.fresh([*lines, printed(text, 6)] if text == "at once" else lines)
        expected = [*again[len(before) :], "at once"] if text == "at once" else []
        assert expected == [line.text for line in fresh]


def test_nothing_has_been_seen_of_a_successor_whose_lines_have_the_same_time() -> None:
    """Podman gives times in seconds."""
    seen = SeenLines(since=3)
    seen.begin("w")
    seen.fresh([printed("a", 9)])
    assert 3 == seen.begin("successor")
    assert ["a"] == [x.text for x in seen.fresh([printed("a", 9)])]


def test_each_stream_has_a_last_line_of_its_own() -> None:
    seen = SeenLines(0)
    seen.begin("w")
    seen.fresh([printed("a", 9)])
    seen.begin("w")
    assert ["b"] == [x.text for x in seen.fresh([printed("a", 9), printed("b", 3, "stderr")])]


def test_behind_is_what_is_later_than_the_last_line_of_its_stream() -> None:
    seen = SeenLines(since=3)
    assert [False, True] == [seen.is_behind(printed("a", at)) for at in (2, 3)]
    seen.fresh([printed("a", 9), printed("b", 5, "stderr")])
    assert [False, True] == [seen.is_behind(printed("a", at)) for at in (9, 10)]
    assert seen.is_behind(printed("b", 6, "stderr"))
