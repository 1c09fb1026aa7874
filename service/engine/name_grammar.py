"""An engine's rules for the names of workloads: their characters, and how long they may be."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NameGrammar:
    """How identifiers become names. Those that are not allowed are cleaned, cut, and get a hash.

    A launch may append a hyphen and 16 digits to a name; the grammar has to allow that, too.
    """

    usable: re.Pattern[str]
    """Matches an identifier that can be a name, unless it looks like one with a hash."""
    longest: int
    """The maximum length of such an identifier, without what a launch appends."""
    unclean: re.Pattern[str]
    """Matches characters that are not allowed."""
    longest_cleaned: int
    """The maximum length of a cleaned identifier, without the hash."""
    mark: str
    """Separates the cleaned identifier from its hash."""

    def is_hashed(self, name: str) -> bool:
        """Whether a name ends with the mark and what looks like a hash: 12 hexadecimal digits."""
        _, mark, digest = name.rpartition(self.mark)
        return bool(mark) and re.fullmatch(r"[0-9a-f]{12}", digest) is not None
