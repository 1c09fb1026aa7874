"""The client of the call that a task works for."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import NamedTuple

from service.access.clients import ALL_JOBS, Client, JobScope


class CurrentCall(NamedTuple):
    """A call that its client may make. There is none without an access file."""

    client: Client
    method: str  # SERVICE/METHOD
    certificate: Callable[[], Sequence[str]]  # the names in the client's certificate


# Tasks inherit it from the task that starts them.
_current: ContextVar[CurrentCall | None] = ContextVar("current_call", default=None)


def note_call(call: CurrentCall) -> None:
    """Note the call that the current task works for."""
    _current.set(call)


def current_call() -> CurrentCall | None:
    """The call that this task works for."""
    return _current.get()


def scope_of_call() -> JobScope:
    """The jobs that the client may touch."""
    call = _current.get()
    return ALL_JOBS if call is None else call.client.jobs
