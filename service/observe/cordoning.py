"""The use cases that have new launches refused, for maintenance, and allow them again."""

from service.access.audit import audited
from service.access.clients import ALL_JOBS, JobScope
from service.errors import Denied, InvalidRequest
from service.state.cordon import Cordon

LONGEST_REASON = 500
"""Characters. It is in each answer to a launch, and in a line of the log."""


class Cordoning:
    """Sets and lifts the cordon. Both may be repeated. Raises `Denied` for a scope of some jobs."""

    def __init__(self, cordon: Cordon) -> None:
        self._cordon = cordon

    def cordon(self, reason: str, scope: JobScope = ALL_JOBS) -> None:
        """Refuse new launches, with this reason. Raises `InvalidRequest`."""
        with audited("", "") as audit:
            _check(scope)
            if (length := len(reason)) > LONGEST_REASON:
                raise InvalidRequest(
                    f"reason: has {length} characters; at most {LONGEST_REASON} are allowed"
                )
            self._cordon.set(reason.strip())
            audit.outcome = "cordoned"

    def uncordon(self, scope: JobScope = ALL_JOBS) -> None:
        """Launch again."""
        with audited("", "") as audit:
            _check(scope)
            audit.outcome = "uncordoned" if self._cordon.lift() else "not_cordoned"


def _check(scope: JobScope) -> None:
    if not scope.is_everything:
        raise Denied("the launches of all jobs")
