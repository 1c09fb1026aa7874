"""Whether new launches are refused, for maintenance. A restart of the process forgets it."""

import time

from observability.callers import caller
from observability.escaping import printable
from observability.logs import get_logger
from observability.metrics import Metrics
from service.errors import Cordoned

log = get_logger(__name__)


class Cordon:
    """Set and lifted by an operator. Launches that were accepted before go on."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._since: float | None = None  # on the clock that never jumps
        self._reason = ""

    @property
    def notice(self) -> str:
        """A text about it for people, with the reason if one was given; "" if it is not set."""
        if self._since is None:
            return ""
        notice = "cordoned: no new launches"
        return f"{notice}, {printable(self._reason)}" if self._reason else notice

    def set(self, reason: str) -> None:
        """Refuse new launches. The reason replaces that of a cordon before."""
        self._since = time.monotonic() if self._since is None else self._since
        self._reason = reason
        self._metrics.cordoned.set(1)
        log.warning("supervisor.cordoned", reason=printable(reason), **caller().fields)

    def lift(self) -> bool:
        """Launch again. False if it was not set."""
        if self._since is None:
            return False
        seconds = round(time.monotonic() - self._since, 3)
        self._since, self._reason = None, ""
        self._metrics.cordoned.set(0)
        log.warning("supervisor.uncordoned", seconds=seconds, **caller().fields)
        return True

    def check(self) -> None:
        """Raise `Cordoned` if new launches are refused."""
        if self.notice:
            raise Cordoned(f"the supervisor is {self.notice}")
