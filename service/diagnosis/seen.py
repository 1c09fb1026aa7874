"""The result of a look from inside of a container."""

from typing import NamedTuple


class Disk(NamedTuple):
    """Bytes."""

    total: int
    free: int


class Inside(NamedTuple):
    """The result: whether the backend was reached, and if not, why."""

    image: str
    reached: bool
    why: str
    disk: Disk | None = None
