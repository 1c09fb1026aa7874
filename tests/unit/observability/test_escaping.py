import pytest

from observability.escaping import printable, shown


@pytest.mark.parametrize("text", ["", "a b", "é", "日本", "it's", "🚀"])
def test_what_can_be_printed_stays_as_it_is(text: str) -> None:
    assert text == printable(text)


@pytest.mark.parametrize(
    "odd", ["\n", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\ufeff"]
)
def test_what_a_terminal_would_obey_is_an_escape(odd: str) -> None:
    for told in (printable(f"a{odd}b"), shown(f"a{odd}b")):
        assert told.isprintable()
        assert repr(f"a{odd}b") == told


def test_a_text_is_shown_quoted_and_in_one_line() -> None:
    assert r"'a\nb'" == shown("a\nb")


def test_80_characters_are_shown_and_what_is_longer_is_cut() -> None:
    assert repr("x" * 80) == shown("x" * 80)
    assert repr("x" * 80 + "…") == shown("x" * 81)
