"""What a life of the supervisor was asked for, and what it has said."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

EVERYBODY = ""
"""In place of an identifier: what is about all of them."""


class KillAsked(NamedTuple):
    """Of which identifier, and when."""

    identifier: str
    at: float


@dataclass(slots=True)
class Record:
    """The requests to a life, and the events of its log."""

    jobs: dict[str, float] = field(default_factory=dict)  # containers, and since when it has them
    kills: dict[str, float] = field(default_factory=dict)  # launches whose end was asked for, when
    kills_under_way: dict[str, KillAsked] = field(default_factory=dict)  # of those that ran
    found: dict[str, str] = field(default_factory=dict)  # by launches that were being killed
    # Until when new launches are refused, and those that were accepted before.
    cordoned_until: float = 0.0
    accepted: frozenset[str] = frozenset()
    # Identifiers whose end was asked for before it knew its jobs. Launches may have waited then.
    early_kills: set[str] = field(default_factory=set)
    # Launches that waited when they were killed, and since when that is seen.
    taking_out: dict[str, float] = field(default_factory=dict)
    # Launches whose jobs were ended because they were not healthy in time.
    not_ready: set[str] = field(default_factory=set)
    # When the next restart of a launch may be, and the launches of which one has failed.
    due: dict[str, float] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    begun: Counter[str] = field(default_factory=Counter)  # launches, by job name
    restarted: Counter[str] = field(default_factory=Counter)  # likewise
    ended: set[str] = field(default_factory=set)  # launches whose end was told
    # Images that are pulled although nobody waits for them, and since when that is seen.
    unwanted_pulls: dict[str, float] = field(default_factory=dict)
    # Of the janitor, by container: how many, and when the last one was.
    removal_failures: dict[str, tuple[int, float]] = field(default_factory=dict)

    def was_killed(self, launch_id: str, identifier: str) -> bool:
        """Whether the end of a launch was asked for, maybe before the life knew of it."""
        early = not self.early_kills.isdisjoint((identifier, EVERYBODY))
        return early or launch_id in self.kills
