"""Reads lists and events of which a part may be unreadable. Logs each fault once."""

from collections.abc import Iterable, Iterator, Mapping

from observability.logs import get_logger
from observability.redaction.redactor import Redactor
from service.engine.docker.event_parser import event
from service.engine.docker.inspections import Created
from service.engine.docker.listings import ListedNames, workload
from service.engine.docker.parsing import Unreadable, read, read_list
from service.engine.events import Event
from service.engine.workloads import Status, Workload

log = get_logger(__name__)

# After this many different texts, the memory is cleared, and texts are logged again.
_REMEMBERED = 1_000


class TolerantReader:
    """Reads answers and logs their faults. The readable parts are returned."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def log_unreadable(self, operation: str, error: str) -> None:
        """Log a fault, unless it was logged before."""
        if self._is_new(error):
            log.warning("answer.unreadable", operation=operation, error=error)

    def created(self, answer: object, redact: Redactor) -> str:
        """The id of a container that was made. Each warning of the Engine is logged once."""
        made = read(Created, answer)
        for warning in map(redact, made.Warnings or ()):
            if self._is_new(warning):
                log.warning("engine.warned", warning=warning)
        return made.Id

    def _is_new(self, text: str) -> bool:
        if len(self._logged) >= _REMEMBERED:
            self._logged.clear()
        new = text not in self._logged
        self._logged.add(text)
        return new

    def workloads(self, items: Iterable[object]) -> Iterator[Workload]:
        """The workloads of a list. An unreadable one is `UNKNOWN`, or left out without an id."""
        return (found for found in map(self._workload, items) if found is not None)

    def names(self, answer: object) -> Iterator[str]:
        """All names in a list of containers. Raises `Unreadable`."""
        for item in read_list(answer):
            try:
                yield from (name.removeprefix("/") for name in read(ListedNames, item).Names or ())
            except Unreadable as error:
                self.log_unreadable("list", f"the names of a container: {error}")

    def event(self, answer: object, labels: Mapping[str, str]) -> Event | None:
        """See `event`. None also for an unreadable event, and for one of another's container."""
        try:
            found = event(answer)
        except Unreadable as error:
            self.log_unreadable("events", f"an event: {error}")
            return None
        return found if found and labels.items() <= found.labels.items() else None

    def _workload(self, item: object) -> Workload | None:
        try:
            return workload(item)
        except Unreadable as error:
            found = item.get("Id") if isinstance(item, dict) else None
            known = found if isinstance(found, str) else ""
            self.log_unreadable("list", f"container {known or 'without an id'}: {error}")
            if not known:
                return None
            return Workload(id=known, name="", status=Status.UNKNOWN, labels={}, created_at=0.0)
