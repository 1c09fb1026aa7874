"""How an engine is configured, as far as it affects workloads."""

from dataclasses import dataclass
from enum import StrEnum


class Trait(StrEnum):
    """A configuration of an engine that affects its workloads."""

    ROOTLESS = "rootless"
    USERNS_REMAP = "userns"
    GAINS_PRIVILEGES = "gains privileges"  # `no_new_privileges` has no effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What an engine offers to workloads, by name; None if it does not list that."""

    runtimes: frozenset[str] | None = None
    # How the names of further runtimes begin, which it may have without listing them.
    more_runtimes: tuple[str, ...] = ()
    log_drivers: frozenset[str] | None = None
