"""The policy of restarts of a job, and the labels that keep it. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from service.jobs.keys.values import read_duration, write_duration

RestartOn = Literal["failure", "end"]

# From here on, twice as much is longer than any limit.
_MOST_DOUBLINGS = 60
# Of a number in a label: more than a job is ever started again.
_MOST = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The policy of a job. Times are seconds."""

    on: RestartOn
    attempts: int  # within the window
    window: float
    back_off: float
    most: float
    final_exit_codes: Sequence[int] = ()
    unhealthy: bool = False  # whether it is ended, too, once it is unhealthy

    def longest_wait(self, restarts: "Restarts") -> float:
        """The longest wait before these restarts' last one: it doubles from run to run."""
        doublings = min(restarts.in_a_row - 1, _MOST_DOUBLINGS)
        return min(self.most, self.back_off * 2.0**doublings)


@dataclass(frozen=True, slots=True)
class Restarts:
    """The restarts of a job so far. `window_began` is in seconds since the epoch."""

    total: int = 0
    in_window: int = 0
    window_began: float = 0.0
    in_a_row: int = 0  # since a run that lasted longer than `most`


NO_RESTARTS = Restarts()


def write_policy(policy: RestartPolicy | None) -> str | None:
    """The label of a policy, which is as in the catalogue."""
    if policy is None:
        return None
    return json.dumps(
        {
            "on": policy.on,
            "attempts": policy.attempts,
            "window": write_duration(policy.window),
            "back_off": write_duration(policy.back_off),
            "most": write_duration(policy.most),
            "final_exit_codes": list(policy.final_exit_codes),
            "unhealthy": policy.unhealthy,
        }
    )


def read_policy(label: str | None) -> RestartPolicy | None:
    """The policy of a label; None without one. Raises `ValueError`."""
    if label is None:
        return None
    found = _read(label)
    on: Any = found.get("on")
    if on not in get_args(RestartOn):
        raise ValueError
    return RestartPolicy(
        on,
        _whole(found, "attempts"),
        read_duration(found.get("window")),
        read_duration(found.get("back_off")),
        read_duration(found.get("most")),
        tuple(code for code in found.get("final_exit_codes") or () if isinstance(code, int)),
        unhealthy=found.get("unhealthy") is True,
    )


def write_restarts(restarts: Restarts) -> str | None:
    """The label of the restarts so far; None if there are none."""
    if restarts == NO_RESTARTS:
        return None
    return json.dumps(
        {
            "attempt": restarts.in_window,
            "window_began": round(restarts.window_began, 3),
            "total": restarts.total,
            "in_a_row": restarts.in_a_row,
        }
    )


def read_restarts(label: str | None) -> Restarts:
    """The restarts of a label. Raises `ValueError`."""
    if label is None:
        return NO_RESTARTS
    found = _read(label)
    began = found.get("window_began")
    if not isinstance(began, int | float):
        raise ValueError  # noqa: TRY004 - a wrong label
    return Restarts(
        _whole(found, "total"), _whole(found, "attempt"), began, _whole(found, "in_a_row")
    )


def _read(label: str) -> dict[str, Any]:
    found = json.loads(label)
    if not isinstance(found, dict):
        raise ValueError  # noqa: TRY004 - likewise
    return found


def _whole(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ValueError
    return value
