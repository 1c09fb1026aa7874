"""Finds many strings in a text, in time proportional to their total length.

A. Aho and M. Corasick, "Efficient string matching", 1975. Libraries report all strings that end at
a position, which may be hundreds. Here only the longest is reported: it covers the others.
"""

from collections.abc import Iterable, Iterator


class AhoCorasick:
    """The automaton: a trie of the strings, and a fallback for each of its states."""

    def __init__(self, strings: Iterable[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._longest = [0]  # the length of the longest string that ends in the state
        self._fallback = [0]  # the state of the longest proper suffix that is a prefix in the trie
        for string in strings:
            self._add(string)
        self._link()

    def __call__(self, text: str) -> Iterator[tuple[int, int]]:
        """The start and end of the longest string that ends at a position, for each position."""
        following, fallback, longest = self._next, self._fallback, self._longest
        state = 0
        for end, character in enumerate(text, 1):
            while state and character not in following[state]:
                state = fallback[state]
            state = following[state].get(character, 0)
            if longest[state]:
                yield end - longest[state], end

    def _add(self, string: str) -> None:
        state = 0
        for character in string:
            after = self._next[state].get(character)
            if after is None:
                after = self._next[state][character] = len(self._next)
                self._next.append({})
                self._longest.append(0)
            state = after
        self._longest[state] = len(string)

    def _link(self) -> None:
        """Set the fallbacks level by level, because longer prefixes use those of shorter ones."""
        self._fallback = [0] * len(self._next)
        level = list(self._next[0].values())
        while level:
            level = [after for state in level for after in self._link_after(state)]

    def _link_after(self, state: int) -> Iterable[int]:
        following, fallback, longest = self._next, self._fallback, self._longest
        for character, after in following[state].items():
            shorter = fallback[state]
            while shorter and character not in following[shorter]:
                shorter = fallback[shorter]
            fallback[after] = following[shorter].get(character, 0)
            longest[after] = longest[after] or longest[fallback[after]]
        return following[state].values()
