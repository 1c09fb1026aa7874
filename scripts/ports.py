"""Ports of the loopback."""

import itertools
import random
import socket
from collections.abc import Iterator
from functools import cache

# Below the kernel's range for connections (32768 to 60999). Each process claims a part of it.
_FIRST, _LAST, _EACH = 20_000, 32_000, 100

_claims: list[socket.socket] = []  # held until this process ends


def free_port() -> int:
    """A free port, which no other process has got from this function."""
    return next(port for port in _ports() if _is_free(port))


@cache
def _ports() -> Iterator[int]:
    """The ports of this process, in turn: each is free again by then."""
    first = _claimed()
    return itertools.cycle(range(first, first + _EACH))


def _claimed() -> int:
    """The first port of a range that no other process has claimed by an abstract socket."""
    places = list(range(_FIRST, _LAST, _EACH))
    random.shuffle(places)
    for first in places:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0area-ports-{first}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return first
    raise RuntimeError(f"all ports from {_FIRST} to {_LAST} are taken")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True
