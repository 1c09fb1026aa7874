"""The check of containers that belong to no job any more, and of jobs without a supervisor."""

import time
from collections.abc import Iterator, Sequence

from service.diagnosis.case import Case
from service.diagnosis.checks import Check, Finding, Skip, error, ok, warning
from service.diagnosis.engine_checks import some
from service.diagnosis.process_checks import runs_here
from service.engine.workloads import Status, Workload
from service.jobs.labels import INSTANCE_LABEL, SERVES_LABEL

# The time between two listings (seconds): a supervisor removes in it what has just ended.
_BETWEEN = 2.0
_ASIDE = "docs/runbook.md#a-container-that-cannot-be-removed"


def _leftovers(case: Case) -> Iterator[Finding]:
    if case.on_swarm:
        raise Skip("not checked on a Swarm: `docker service ls` lists its services")
    served = runs_here(case) or bool(case.serving(SERVES_LABEL))
    found = _look(case)
    if any(_is_left(case, each) for each in found):
        time.sleep(_BETWEEN)
        still = {each.id for each in _look(case) if _is_left(case, each)}
        yield from _findings(case, [each for each in found if each.id in still], served=served)
    live = [each.name for each in found if each.status is Status.LIVE]
    if live and not served:
        what = "adopts" if case.settings.supervisor_on_start == "adopt" else "ends"
        yield warning(
            f"{len(live)} jobs run without a supervisor: {some(live)}",
            f"the next start of the supervisor {what} them (SUPERVISOR_ON_START)",
        )
    yield ok(f"{len(found)} containers of the instance {case.instance}, {len(live)} of them live")


def _look(case: Case) -> Sequence[Workload]:
    return case.engine.workloads({INSTANCE_LABEL: case.instance})


def _is_left(case: Case, workload: Workload) -> bool:
    """Whether it belongs to no job, and has had its grace."""
    settings = case.settings
    ends = workload.status in (Status.CREATED, Status.REMOVING) or workload.aside
    ended = workload.status is Status.EXITED and settings.production
    old = time.time() - workload.created_at > settings.orphan_grace_seconds
    return old and (ends or ended)


def _findings(case: Case, left: Sequence[Workload], *, served: bool) -> Iterator[Finding]:
    aside = [each.name for each in left if each.aside or each.status is Status.REMOVING]
    orphans = [each.name for each in left if each.name not in aside]
    if aside:
        yield error(
            f"{len(aside)} containers cannot be removed: {some(aside)}",
            f"see what holds their files ({_ASIDE})",
        )
    if orphans:
        if case.settings.orphan_dry_run:
            helps = "ORPHAN_DRY_RUN keeps them; `docker rm` removes them"
        elif served:
            helps = "the supervisor tries again; its log says why it cannot (janitor.failed)"
        else:
            helps = "the next start of the supervisor removes them"
        yield error(f"{len(orphans)} containers belong to no job: {some(orphans)}", helps)


CHECKS = [
    Check("leftovers", "containers that belong to no job", _leftovers, within=50),
]
