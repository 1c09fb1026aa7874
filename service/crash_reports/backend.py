"""The interface through which reports of crashes reach the backend."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class BackendAway(Exception):
    """There is no connection: nothing has been sent."""


class ReportFailed(Exception):
    """The backend has refused a report, or not answered: it may know of the end all the same."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Connection(Protocol):
    """A connection to the backend."""

    async def report(self, identifier: str, reason: str) -> None:
        """Tell why a job has failed. Raises `ReportFailed`."""


class Backend(Protocol):
    """Where reports go."""

    target: str

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """A new connection, which works. Raises `BackendAway`."""
