"""Finds many strings in one at once, in time that grows with their lengths and nothing else.

A. Aho and M. Corasick, "Efficient string matching", 1975. A library would tell every string that
ends at a place, which may be hundreds at each; here the longest is enough, since it covers them.
"""

from collections.abc import Iterable, Iterator


class AhoCorasick:
    """The automaton: a tree of the strings' beginnings, and where to go on when one breaks off."""

    def __init__(self, strings: Iterable[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._longest = [0]  # of the strings that end in this state
        self._fallback = [0]  # the longest other beginning that this one ends with
        for string in strings:
            self._add(string)
        self._link()

    def __call__(self, text: str) -> Iterator[tuple[int, int]]:
        """For each place where a string ends, where the longest such begins, and the place."""
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
        """Set what to fall back to, the shorter beginnings first: the longer ones build on them."""
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
