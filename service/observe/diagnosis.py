"""Finds out what needs attention now, from what the supervisor knows and from the engine."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from service.access.clients import ALL_JOBS, JobScope
from service.diagnosis import deployment, engine_checks, live
from service.diagnosis.case import Case, Environment
from service.diagnosis.checks import Finding, Status, make
from service.diagnosis.live import Live, Outside

# The checks that ask the engine, except those that run a container or matter only before a start.
_ASKED = {"engine", "limits", "clock", "images", "networks", "surroundings"}
_ENGINE_CHECKS = [
    each for each in (*engine_checks.CHECKS, *deployment.CHECKS) if each.name in _ASKED
]
# The findings of these checks name jobs: clients that may know only some jobs do not get them.
_NAME_JOBS = {"limits", "images", "surroundings"}
# How long answers of the engine are used again, and how long to wait for them (seconds).
_KEPT, _TIMEOUT = 10.0, 8.0
_WRONG = (Status.ERROR, Status.WARNING)  # in this order


class Diagnosis:
    """Checks a running supervisor. Clients that ask at the same time share the engine's answers."""

    def __init__(self, supervisor: Live) -> None:
        self._live = supervisor
        self._thread: ThreadPoolExecutor | None = None
        self._asking: asyncio.Future[Sequence[Finding]] | None = None
        self._asked_at = 0.0

    def look_outside(self, outside: Outside) -> None:
        """Also check what only the process knows, from now on."""
        self._live.outside = outside

    async def find(self, scope: JobScope = ALL_JOBS) -> Sequence[Finding]:
        """What is wrong, the errors first. Waits a few seconds for the engine at most."""
        seen = replace(self._live, scope=scope)
        found = [finding for check in live.CHECKS for finding in make(check, seen)]
        of_engine = await self._engine_findings()
        found += [e for e in of_engine if scope.is_everything or e.check not in _NAME_JOBS]
        wrong = [each for each in found if each.status in _WRONG]
        return sorted(wrong, key=lambda each: _WRONG.index(each.status))

    async def _engine_findings(self) -> Sequence[Finding]:
        """The findings about the engine. None if it is away, which is a finding of its own."""
        outside = self._live.outside
        if outside is None or not self._live.readiness.in_step:
            return []
        old = time.monotonic() - self._asked_at > _KEPT
        if self._asking is None or (self._asking.done() and old):
            self._asked_at = time.monotonic()
            self._thread = self._thread or ThreadPoolExecutor(1, "diagnosis")
            loop = asyncio.get_running_loop()
            self._asking = loop.run_in_executor(self._thread, self._examine, outside)
        try:
            return await asyncio.wait_for(asyncio.shield(self._asking), _TIMEOUT)
        except TimeoutError:
            slow = f"it has not answered within {_TIMEOUT:g} s"
            helps = "see how loaded its host is (docs/runbook.md#supervisorlaunchesslow)"
            return [Finding(Status.WARNING, slow, helps, check="engine")]

    def _examine(self, outside: Outside) -> Sequence[Finding]:
        """Ask the engine. Runs in a thread."""
        settings = self._live.settings
        case = Case(
            read=lambda: Environment(settings, [], {}),
            check_catalog=lambda *_: None,
            tls_files=lambda _: {},
            open=lambda _: outside.examine(),
            is_supervisor=lambda *_: True,
            runs_containers=False,
            catalog=self._live.catalog,
        )
        return [finding for check in _ENGINE_CHECKS for finding in make(check, case)]
