"""Checks of the engine itself, whatever jobs it is to run."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from service.diagnosis.case import Case
from service.diagnosis.checks import Check, Finding, error, ok, warning
from service.engine.examiner import EngineFacts
from service.errors import EngineTimeout, StartError

_START_IT = (
    "see that it runs: `systemctl status docker` on its host (docs/runbook.md#supervisorenginedown)"
)
_RUNTIME_HANGS = (
    "its runtime hangs: restart that, and then Docker (docs/runbook.md#supervisornotready)"
)
RESTART_IT = (
    "restart Docker, and then install a version without this fault (docs/reliability.md#the-engine)"
)
_NODE_DOWN = "the node is down: its jobs are lost, and run on unseen if it is only cut off"
_MEND_THE_NODE = (
    "start its Docker, or mend its network; if it is gone for good, `docker node rm --force` it"
    " (docs/swarm.md#when-nodes-fail)"
)
# By how much two clocks may differ (seconds): less than the request for the time may take.
_CLOCKS_DIFFER, _CLOCKS_ARE_WRONG = 2.0, 30.0

_Numbers = tuple[int, ...]


class _Fault(NamedTuple):
    """A fault of some versions of a product: from `since` on, and mended in `before`."""

    product: str
    since: _Numbers
    before: _Numbers
    what: str
    helps: str


LOCK_OUT = _Fault(
    "Docker",
    (0,),
    (20, 10, 27),
    "can lock itself out when many containers end at once: then nothing starts or ends until it is"
    " restarted (moby/moby#46661)",
    "install Docker 20.10.27, or 23 or later (docs/reliability.md#the-engine)",
)
_FAULTS = (
    LOCK_OUT,
    _Fault(
        "Docker",
        (23,),
        (24, 0, 3),
        "kills a container at once if the client that asked for a stop hangs up",
        "install Docker 24.0.3 or later; the supervisor works around it until then",
    ),
    _Fault(
        "Docker",
        (0,),
        (20, 10),
        "is older than any version that was tested",
        "install Docker 20.10.27 or later (docs/engines.md)",
    ),
    _Fault(
        "Podman",
        (0,),
        (5, 4),
        "is older than any version that was tested",
        "install Podman 5.4 or later (docs/engines.md#podman)",
    ),
)


def _numbers(version: str) -> _Numbers:
    """The version's numbers: 20.10.24+dfsg1 is (20, 10, 24)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def known_faults(facts: EngineFacts) -> Sequence[_Fault]:
    """The faults that this version is known to have."""
    numbers = _numbers(facts.version)
    return [
        each
        for each in _FAULTS
        if numbers and each.product == facts.product and each.since <= numbers < each.before
    ]


def _socket(case: Case) -> Iterator[Finding]:
    examiner = case.examiner
    path = examiner.socket
    if not path:
        yield ok(f"{examiner.shown}: no socket of this host")
        return
    try:
        is_socket = stat.S_ISSOCK(Path(path).stat().st_mode)
    except OSError as missing:
        yield error(
            f"{path}: {missing.strerror}",
            "start the Engine; in a container, mount its socket (docs/deploy.md); DOCKER_HOST names"
            " another one",
        )
        return
    if not is_socket:
        yield error(
            f"{path}: is not a socket",
            "remove it, and start the Engine: a mount of a socket that was missing makes a folder",
        )
    elif not os.access(path, os.R_OK | os.W_OK):
        yield error(
            f"{path}: the user {os.geteuid()} may not use it",
            f"add the user to the group {Path(path).stat().st_gid} of the socket"
            " (docs/deploy.md; with Compose, DOCKER_GID)",
        )
    else:
        yield ok(f"{path}: may be used")


def _engine(case: Case) -> Iterator[Finding]:
    case.examiner.ping()
    try:
        facts = case.find_facts()
    except EngineTimeout as slow:
        yield error(f"it answers pings, and nothing else: {slow}", _RUNTIME_HANGS)
        return
    except StartError as wrong:
        yield error(str(wrong), "correct SUPERVISOR_ENGINE or DOCKER_HOST (docs/swarm.md)")
        return
    yield ok(f"{facts.product} {facts.version} answers at {case.examiner.shown} ({facts.system})")
    for fault in known_faults(facts):
        yield warning(f"{facts.product} {facts.version} {fault.what}", fault.helps, facts.version)
    for node in facts.lost_nodes:
        yield warning(_NODE_DOWN, _MEND_THE_NODE, node)


def _limits(case: Case) -> Iterator[Finding]:
    facts, catalog = case.facts, case.known_catalog
    able = [key for key, can in facts.limits.items() if can]
    yield ok(f"cgroups {facts.cgroups or 'unknown'}: can limit {', '.join(able) or 'nothing'}")
    for key, can in facts.limits.items():
        jobs = [name for name, entry in catalog.items() if getattr(entry, key) is not None]
        if jobs and not can:
            yield error(
                f"the host cannot limit it: {some(jobs)} run without this limit, or cannot start",
                "have the kernel of the host do it (`docker info` says what is missing;"
                " cgroup_enable=memory on its command line), or take the key out of the catalogue",
                key,
            )


def _clock(case: Case) -> Iterator[Finding]:
    ahead = case.facts.clock
    helps = "have both hosts take their time from the same source (NTP)"
    clock = f"the Engine's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    if abs(ahead) > _CLOCKS_ARE_WRONG:
        yield error(f"{clock}: times of jobs, and how long they ran, are wrong", helps)
    elif abs(ahead) > _CLOCKS_DIFFER:
        yield warning(clock, helps)
    else:
        yield ok(f"the Engine's and ours agree ({ahead:+.1f} s)")


def some(jobs: Sequence[str], most: int = 5) -> str:
    """Some names of many."""
    return ", ".join(jobs[:most]) + (f" and {len(jobs) - most} more" if jobs[most:] else "")


CHECKS = [
    Check("socket", "the Engine's socket", _socket, "correct DOCKER_HOST (docs/settings.md)"),
    Check("engine", "the Engine", _engine, _START_IT, within=25),
    Check("limits", "the limits that the Engine can enforce", _limits),
    Check("clock", "the clocks", _clock),
]
