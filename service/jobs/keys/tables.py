"""Reads the values of catalogue keys that are tables: limits of processes."""

from service.engine.workload_spec import Ulimit
from service.jobs.keys.table import NotAllowed

# Those that the Engine knows (github.com/docker/go-units).
_ULIMITS = """
core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack
"""
_UNLIMITED = -1
_MOST = 2**63 - 1


def table_of(value: object) -> dict[str, object]:
    """A table, by its keys. Raises `ValueError`."""
    if not isinstance(value, dict):
        raise ValueError
    return value


def read_ulimits(value: object) -> tuple[Ulimit, ...]:
    """`{ nofile = 4096, nproc = { soft = 100, hard = 200 } }`."""
    return tuple(_ulimit(name, given) for name, given in sorted(table_of(value).items()))


def _ulimit(name: str, given: object) -> Ulimit:
    if name not in _ULIMITS.split():
        raise NotAllowed(f"{name!r} is not one of {', '.join(_ULIMITS.split())}")
    both = given if isinstance(given, dict) else {"soft": given, "hard": given}
    if both.keys() != {"soft", "hard"}:
        raise NotAllowed(f"{name} has to have soft and hard")
    soft, hard = _limit(name, both["soft"]), _limit(name, both["hard"])
    if hard != _UNLIMITED and not _UNLIMITED < soft <= hard:
        raise NotAllowed(f"the soft limit of {name} is more than its hard one")
    return Ulimit(name, soft, hard)


def _limit(name: str, given: object) -> int:
    if type(given) is not int or not _UNLIMITED <= given <= _MOST:
        raise NotAllowed(f"a limit of {name} is not a whole number")
    return given
