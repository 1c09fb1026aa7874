"""One request for the tasks of all launches that wait at the same time.

Each launch blocks a thread. A request for each of them takes a manager four times as much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock

import requests

from service.engine.swarm.answers import Task
from service.errors import NoSuchWorkload

SLOW = (TimeoutError, requests.exceptions.Timeout)
"""The errors of a request that a manager has not answered in time."""

_MOST_AT_ONCE = 200  # services in a request: their ids are in its URL

Ask = Callable[[Sequence[str]], Sequence[Task]]


@dataclass(slots=True)
class _Look:
    """A request that one of its launches is about to make."""

    services: list[str] = field(default_factory=list)
    over: Event = field(default_factory=Event)
    tasks: Sequence[Task] | None = None
    was_slow: bool = False


class SharedLooks:
    """Joins the looks of launches, each in a thread of its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._next: _Look | None = None

    def tasks_of(
        self, service: str, *, pause: Callable[[], None], ask: Ask, within: float
    ) -> Sequence[Task]:
        """The tasks of a service, after a pause.

        The first launch pauses and asks; those that come meanwhile wait for its answer. If it comes
        too late, or not within `within` (seconds), they get `TimeoutError`, and may look together
        again: many requests would make a slow manager slower. If a service is gone, or after any
        other error, each asks for itself and raises its own error.
        """
        look, leads = self._join(service)
        if leads:
            self._lead(look, pause, ask)
        elif not look.over.wait(within) or look.was_slow:
            raise TimeoutError
        if look.tasks is None:
            return ask([service])
        return [task for task in look.tasks if task.ServiceID == service]

    def _join(self, service: str) -> tuple[_Look, bool]:
        with self._lock:
            leads = self._next is None or len(self._next.services) >= _MOST_AT_ONCE
            look = _Look() if self._next is None or leads else self._next
            self._next = look
            look.services.append(service)
            return look, leads

    def _lead(self, look: _Look, pause: Callable[[], None], ask: Ask) -> None:
        try:
            pause()
            self._close(look)
            look.tasks = ask(look.services)
        except NoSuchWorkload:
            pass  # perhaps that of another launch
        except SLOW:
            look.was_slow = True
            raise
        finally:
            self._close(look)
            look.over.set()

    def _close(self, look: _Look) -> None:
        with self._lock:
            if self._next is look:
                self._next = None
