from hypothesis import given
from hypothesis import strategies as st

from observability.redaction.string_search import AhoCorasick

STRINGS = st.sets(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=8)


@given(STRINGS, st.text("abc", max_size=40))
def test_at_each_place_the_longest_string_that_ends_there_is_found(
    strings: set[str], text: str
) -> None:
    expected = []
    for end in range(1, len(text) + 1):
        lengths = [len(string) for string in strings if text[:end].endswith(string)]
        expected += [(end - max(lengths), end)] if lengths else []
    assert expected == list(AhoCorasick(strings)(text))
