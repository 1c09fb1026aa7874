"""Remembers which lines of an output have been sent, so that none is sent twice."""

from collections.abc import Sequence

from service.engine.output import Printed

# The two streams of an output may come in another order than that of their times (nanoseconds).
_OVERLAP = 10**9


class SeenLines:
    """The last line of each stream, so that it is found again: its time, and how many have it."""

    def __init__(self, since: int) -> None:
        self._since = since
        self._workload_id = ""
        self._last: dict[str, tuple[int, int]] = {}
        self._known: dict[str, tuple[int, int]] = {}

    @property
    def since(self) -> int:
        """From which time on the next lines are."""
        newest = max((at for at, _ in self._last.values()), default=0)
        return max(self._since, newest - _OVERLAP)

    def begin(self, workload_id: str) -> int:
        """Begin anew; from which time on. Nothing has been seen of another workload.

        On Podman, which gives times in seconds, its first lines may have the time of the last ones.
        """
        if workload_id != self._workload_id:
            self._workload_id, self._last = workload_id, {}
        self._known = dict(self._last)
        return self.since

    def fresh(self, lines: Sequence[Printed]) -> Sequence[Printed]:
        """The lines that were not there before the stream began anew."""
        return [line for line in lines if self._is_new(line)]

    def is_behind(self, line: Printed) -> bool:
        """Whether a line is later than all of its stream that have been seen."""
        at, _ = self._last.get(line.stream, (self._since - 1, 0))
        return line.at > at

    def _is_new(self, line: Printed) -> bool:
        if known := self._known.get(line.stream):
            at, left = known
            if line.at < at:
                return False
            if line.at == at and left:
                self._known[line.stream] = at, left - 1
                return False
            del self._known[line.stream]
        at, number = self._last.get(line.stream, (0, 0))
        self._last[line.stream] = line.at, number + 1 if line.at == at else 1
        return True
