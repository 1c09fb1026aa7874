"""What the environment asks for and cannot have, to be told once there is a log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Correction:
    """A variable whose value was not used as it was given.

    `used` is what took its place, "" where the variable counts as unset. Neither shows a secret.
    """

    variable: str
    given: str
    used: str
    reason: str
