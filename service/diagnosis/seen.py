"""What was seen from inside of a container."""

from typing import NamedTuple


class Disk(NamedTuple):
    """Bytes."""

    total: int
    free: int


class Inside(NamedTuple):
    """What was seen from inside: whether the backend was reached, and if not, why."""

    image: str
    reached: bool
    why: str
    disk: Disk | None = None
