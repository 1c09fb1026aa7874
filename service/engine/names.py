"""What an engine takes as the name of a workload."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NameGrammar:
    """Which identifiers can be names as they are, and how the others are made into names.

    The other ones are cleaned, cut, and get a hash. A launch may add a hyphen and 16 digits to any
    name, which has to be allowed as well.
    """

    usable: re.Pattern[str]
    """An identifier that is a name, unless it looks like one that was made with a hash."""
    longest: int
    """Characters of such an identifier."""
    unclean: re.Pattern[str]
    """Characters that no name has."""
    longest_cleaned: int
    """Characters of a cleaned identifier, before the hash."""
    mark: str
    """What stands between the cleaned identifier and its hash."""

    def is_hashed(self, name: str) -> bool:
        """Whether a name looks like one that was made with a hash: 12 hexadecimal digits."""
        _, mark, digest = name.rpartition(self.mark)
        return bool(mark) and re.fullmatch(r"[0-9a-f]{12}", digest) is not None
