"""Finds many strings in a text, in time proportional to their total length.

A. Aho and M. Corasick, "Efficient string matching", 1975. Libraries report all strings that end at
a position, which may be hundreds. Here only the longest is reported: it covers the others.
"""

import re
from collections.abc import Iterable, Sequence

# How much of a string a regular expression looks for, which is 20 times as fast as the automaton.
# Of very many strings it looks for the first characters only.
_HEAD = 3
_MOST_HEADS = 300


class AhoCorasick:
    """The automaton: a trie of the strings, and a fallback for each of its states.

    A text may come in parts: a state is what it has read so far, and 0 at the beginning.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._longest = [0]  # the length of the longest string that ends in the state
        self._fallback = [0]  # the state of the longest proper suffix that is a prefix in the trie
        self._depth = [0]  # the length of its prefix
        for string in strings:
            self._add(string)
        self._heads = self._pattern_of_heads()
        self._link()

    def __call__(self, text: str) -> Iterable[tuple[int, int]]:
        """The start and end of the longest string that ends at a position, for each position."""
        return self.read(text, 0)[0]

    def read(self, text: str, state: int) -> tuple[Sequence[tuple[int, int]], int]:
        """The same for the next part of a text, and the state after it.

        A start is negative if it is in an earlier part.
        """
        following, fallback, longest = self._next, self._fallback, self._longest
        found, at, size = [], 0, len(text)
        while at < size:
            if not state:
                head = self._heads.search(text, at)
                if head is None:
                    break
                at = head.start()
            character = text[at]
            at += 1
            while state and character not in following[state]:
                state = fallback[state]
            state = following[state].get(character, 0)
            if longest[state]:
                found.append((at - longest[state], at))
        return found, state

    def depth(self, state: int) -> int:
        """How many of the last characters may be the beginning of a string."""
        return self._depth[state]

    def _add(self, string: str) -> None:
        state = 0
        for character in string:
            after = self._next[state].get(character)
            if after is None:
                after = self._next[state][character] = len(self._next)
                self._next.append({})
                self._longest.append(0)
                self._depth.append(self._depth[state] + 1)
            state = after
        self._longest[state] = len(string)

    def _pattern_of_heads(self) -> re.Pattern[str]:
        """Where a string may begin: its first characters, or fewer of them at the end of a text."""
        few = sum(0 < depth <= _HEAD for depth in self._depth) <= _MOST_HEADS
        return re.compile(self._heads_after(0, _HEAD if few else 1) if self._next[0] else "(?!)")

    def _heads_after(self, state: int, characters: int) -> str:
        if not characters or self._longest[state]:
            return ""
        ways = [
            re.escape(character) + self._heads_after(after, characters - 1)
            for character, after in self._next[state].items()
        ]
        return f"(?:{'|'.join(ways if not state else [*ways, chr(92) + 'Z'])})"

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
