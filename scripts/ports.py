"""Ports of the loopback."""

import itertools
import random
import socket
from collections.abc import Iterator
from functools import cache

# Below what the kernel gives to connections (32768 to 60999), from where each process has some.
_FIRST, _LAST, _EACH = 20_000, 32_000, 100

_claims: list[socket.socket] = []  # held until this process ends


def free_port() -> int:
    """A port that nobody listens on, and that no other process has been given by this."""
    return next(port for port in _ports() if _is_free(port))


@cache
def _ports() -> Iterator[int]:
    """Those of this process, over and over: each is free again when its turn comes."""
    first = _claimed()
    return itertools.cycle(range(first, first + _EACH))


def _claimed() -> int:
    """The first of some that are nobody else's: a socket of that name is no other process's."""
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
