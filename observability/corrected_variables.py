"""Corrections of environment variables, to be logged as soon as there is a log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Correction:
    """A variable whose value was not used as given.

    `used` is the value that was used instead, or "" for none. Neither shows a secret.
    """

    variable: str
    given: str
    used: str
    reason: str
