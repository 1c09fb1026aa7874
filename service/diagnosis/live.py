"""Checks of a running supervisor: what it knows itself, without asking the engine."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.access.clients import ALL_JOBS, JobScope
from service.diagnosis.checks import Check, Finding, error, warning
from service.diagnosis.configuration import of_authority, of_certificate
from service.diagnosis.engine_checks import some
from service.diagnosis.recent_ends import RecentEnds
from service.engine.examiner import Examiner
from service.history.faults import HELP, Fault
from service.history.history import History
from service.jobs.catalog import Catalog
from service.jobs.model import Job, State
from service.settings import Settings
from service.state.admission import Admission
from service.state.cordon import Cordon
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.state.rooms import Rooms
from service.support.tls_files import Lifetime

_RUNBOOK = "docs/runbook.md"
_MOST_OF_A_LINE = 200  # characters of a job's output
_STEERING = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # such as the colours of a terminal


class PortCertificate(NamedTuple):
    """The certificate that a port uses, and why its changed files were refused, if they were."""

    port: str
    not_before: float
    not_after: float
    fault: str
    authority: Lifetime | None = None  # of clients: the one that expires first


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Facts that only the process knows. A fault that there is not is empty."""

    catalogue_fault: Callable[[], str]
    access_fault: Callable[[], str]
    certificates: Callable[[], Sequence[PortCertificate]]
    log_is_full: Callable[[], bool]
    examine: Callable[[], Examiner]  # may raise `StartError`


@dataclass(kw_only=True, eq=False)
class Live:
    """The parts of a running supervisor, and the jobs that the client may know of."""

    registry: Registry
    readiness: Readiness
    cordon: Cordon
    admission: Admission
    rooms: Rooms
    history: History
    ends: RecentEnds
    catalog: Catalog
    settings: Settings
    stuck_removals: Callable[[], int]
    outside: Outside | None = None
    scope: JobScope = ALL_JOBS

    def jobs(self, state: State | None = None) -> Sequence[Job]:
        """The live jobs that the client may know of."""
        return [
            job
            for job in self.registry.jobs()
            if (state is None or job.state is state) and self.scope.allows(job.name)
        ]

    def of_all(self, text: str) -> str:
        """A text about the jobs of all; nothing for a client that may know of some jobs only."""
        return text if self.scope.is_everything else ""


def _readiness(live: Live) -> Iterator[Finding]:
    readiness = live.readiness
    if readiness.draining:
        yield warning(readiness.reason, "start it again if nobody has stopped it on purpose")
    elif not readiness.in_step:
        yield error(readiness.reason, f"see {_RUNBOOK}#supervisorenginedown")


def _cordon(live: Live) -> Iterator[Finding]:
    if notice := live.cordon.notice:
        starting = len(live.jobs(State.STARTING))
        helps = "uncordon it once the work is done (`area-supervisor uncordon`)"
        yield warning(f"{notice}; {starting} launches that came before are under way", helps)


def _failing(live: Live) -> Iterator[Finding]:
    for name, jobs in live.ends.by_name(live.scope).items():
        last = jobs[-1]
        code = "" if last.exit_code is None else f" with exit code {last.exit_code}"
        said = _STEERING.sub("", last.last_lines).strip().splitlines()[-1:] or [""]
        words = f", and said last: {said[0].strip()[:_MOST_OF_A_LINE]}" if said[0] else ""
        yield warning(
            f"{len(jobs)} ended badly in the last 15 min; the last, {last.identifier!r}, as"
            f" {last.outcome}{code}{words}",
            "see `area-supervisor describe` of it, and have the backend launch it again"
            f" ({_RUNBOOK}#supervisoractionended)",
            name,
        )


def _backing_off(live: Live) -> Iterator[Finding]:
    by_name = _identifiers(live.jobs(State.BACKING_OFF))
    for name, identifiers in by_name.items():
        yield warning(
            f"{len(identifiers)} waiting to be started again: {some(identifiers)}",
            "see what they said last (`area-supervisor describe`); a kill ends it"
            f" ({_RUNBOOK}#which-jobs-are-started-again-and-how-often)",
            name,
        )


def _unhealthy(live: Live) -> Iterator[Finding]:
    for name, identifiers in _identifiers([j for j in live.jobs() if j.is_sick]).items():
        yield warning(
            f"{len(identifiers)} running, with a health check that fails: {some(identifiers)}",
            f"mend what the probe complains about ({_RUNBOOK}#supervisorjobunhealthy)",
            name,
        )


def _paused(live: Live) -> Iterator[Finding]:
    for name, identifiers in _identifiers(live.jobs(State.PAUSED)).items():
        yield warning(
            f"{len(identifiers)} paused by somebody, doing nothing: {some(identifiers)}",
            f"let them go on (`docker unpause`; {_RUNBOOK}"
            "#is-a-job-paused-or-was-it-restarted-by-hand)",
            name,
        )


def _room(live: Live) -> Iterator[Finding]:
    if waiting := live.rooms.waiting:
        yield warning(
            f"{live.of_all(f'{waiting} ')}launches wait for the end of other jobs",
            f"see whether those should still run, or raise the limit ({_RUNBOOK}"
            "#supervisorlauncheswaitforroom)",
        )
    most = live.settings.max_running_jobs
    if most is not None and len(live.registry) - waiting >= most:
        yield warning(
            f"as many jobs run as may: MAX_RUNNING_JOBS={most}",
            f"end some, or raise it ({_RUNBOOK}#how-full-is-it)",
        )
    if live.admission.full:
        yield warning(
            "as many launches wait as may: more get 429",
            "see whether the Engine is slow, or raise MAX_LAUNCHES_WAITING"
            f" ({_RUNBOOK}#supervisorlaunchesslow)",
        )


def _catalogue(live: Live) -> Iterator[Finding]:
    if live.outside and (fault := live.outside.catalogue_fault()):
        yield error(
            f"the changed file is refused, and the one before in use{live.of_all(f': {fault}')}",
            f"correct it ({_RUNBOOK}#supervisorcatalogrefused)",
        )


def _access(live: Live) -> Iterator[Finding]:
    if live.outside and (fault := live.outside.access_fault()):
        yield error(
            f"the changed file is refused, and the one before in use{live.of_all(f': {fault}')}",
            f"correct it ({_RUNBOOK}#supervisoraccessfilerefused)",
        )


def _certificates(live: Live) -> Iterator[Finding]:
    for each in live.outside.certificates() if live.outside else ():
        if each.fault:
            yield error(
                f"the changed files are refused, and the ones before in use: {each.fault}",
                f"correct them ({_RUNBOOK}#supervisortlsfilesrefused)",
                f"{each.port} port",
            )
        yield of_certificate(each.port, each.not_before, each.not_after)
        if each.authority:
            yield of_authority(each.port, each.authority)


def _history(live: Live) -> Iterator[Finding]:
    if fault := live.history.fault:
        yield error(
            f"HISTORY_FILE cannot be used ({fault}): jobs that end are kept in memory only",
            HELP[Fault(fault)],
        )


def _leftovers(live: Live) -> Iterator[Finding]:
    if stuck := live.stuck_removals():
        yield error(
            f"{live.of_all(f'{stuck} ')}containers cannot be removed",
            f"see what holds their files ({_RUNBOOK}#a-container-that-cannot-be-removed)",
        )


def _log(live: Live) -> Iterator[Finding]:
    if live.outside and live.outside.log_is_full():
        yield error(
            "lines of the log are dropped: nobody reads it, or its disk is full",
            f"see where it goes ({_RUNBOOK}#supervisorloglinesdropped)",
        )


def _identifiers(jobs: Sequence[Job]) -> Mapping[str, list[str]]:
    """The identifiers of jobs, by job name."""
    found: dict[str, list[str]] = {}
    for job in jobs:
        found.setdefault(job.name, []).append(job.identifier)
    return found


CHECKS: Sequence[Check[Live]] = [
    Check("engine", "the Engine", _readiness),
    Check("cordon", "the cordon", _cordon),
    Check("failing", "jobs that have ended badly", _failing),
    Check("backing_off", "jobs that wait to be started again", _backing_off),
    Check("unhealthy", "jobs whose health check fails", _unhealthy),
    Check("paused", "jobs that are paused", _paused),
    Check("room", "limits that are reached", _room),
    Check("catalogue", "the catalogue", _catalogue),
    Check("access", "the access file", _access),
    Check("certificates", "the certificates of the ports", _certificates),
    Check("history", "the history", _history),
    Check("leftovers", "containers that cannot be removed", _leftovers),
    Check("log", "the log", _log),
]
