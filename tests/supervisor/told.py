"""A backend in memory, which is told of crashes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.crash_reports.crash_reports import CrashReports
from tests.supervisor.world import World


class Told:
    """A backend that is always there, and what it was told."""

    target = "in memory"

    def __init__(self) -> None:
        self.identifiers: list[str] = []
        self.reasons: list[str] = []

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["Told"]:
        yield self

    async def report(self, identifier: str, reason: str) -> None:
        self.identifiers.append(identifier)
        self.reasons.append(reason)


def reports_to(told: Told, world: World) -> CrashReports:
    """Have a supervisor report crashes, as service/app/crash_reporting.py does."""
    reports = CrashReports(told, world.registry, world.background, world.metrics)
    world.earlier.subscribe(reports.note)
    return reports
