"""What is odd with the Engine, where all else goes on: it is told once, and not each time."""

from collections.abc import Iterable, Iterator

from observability.logs import get_logger
from service.engine.base import Event, Status, Workload
from service.engine.docker.answers import Named, Unreadable, event, read, read_list, workload

log = get_logger(__name__)

# As many are told of once; then it begins anew.
_REMEMBERED = 1_000


class Oddities:
    """Reads what may hold something unreadable, and tells of that."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, operation: str, error: str) -> None:
        """Log what cannot be read, unless that has been done."""
        if self._is_new(error):
            log.warning("answer.unreadable", operation=operation, error=error)

    def warn(self, warning: str) -> None:
        """Log what the Engine warns of, unless that has been done."""
        if self._is_new(warning):
            log.warning("engine.warned", warning=warning)

    def _is_new(self, text: str) -> bool:
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        new = text not in self._told
        self._told.add(text)
        return new

    def workloads(self, items: Iterable[object]) -> Iterator[Workload]:
        """Those of a list. One that cannot be read is `UNKNOWN`, or not there without an id."""
        return (found for found in map(self._workload, items) if found is not None)

    def names(self, answer: object) -> Iterator[str]:
        """All that a list has. Raises `Unreadable`."""
        for item in read_list(answer):
            try:
                yield from (name.removeprefix("/") for name in read(Named, item).Names or ())
            except Unreadable as error:
                self.tell("list", f"the names of a container: {error}")

    def event(self, answer: object) -> Event | None:
        """As `event`; None also for one that cannot be read."""
        try:
            return event(answer)
        except Unreadable as error:
            self.tell("events", f"an event: {error}")
            return None

    def _workload(self, item: object) -> Workload | None:
        try:
            return workload(item)
        except Unreadable as error:
            identity = item.get("Id") if isinstance(item, dict) else None
            known = isinstance(identity, str) and identity
            self.tell("list", f"container {identity if known else 'without an id'}: {error}")
            if not known:
                return None
            return Workload(
                id=str(identity), name="", status=Status.UNKNOWN, labels={}, created_at=0.0
            )
