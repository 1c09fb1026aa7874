"""What has to be true at rest. Each check says what is wrong, or nothing."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from service.app.metric_labels import LABELS
from tests.chaos.acts import STEADY
from tests.chaos.stage import RESTARTS, Stage
from tests.support.containers import PREFIX
from tests.support.supervised import Scrape

_LIVE = frozenset({"running", "paused", "restarting"})
# At most 98 threads talk to the Engine, each over one connection; gRPC has some of its own.
_MOST_THREADS = 160
_MOST_FILES = 200
_ATTEMPT = re.compile(r'"attempt":(\d+)')
_DROPPED = "supervisor_log_lines_dropped_total"


@dataclass(frozen=True)
class Sight:
    """What everybody says, at about the same moment."""

    jobs: Sequence[tuple[str, str, str]]  # name, identifier, status
    containers: Sequence[Mapping[str, Any]]  # of ours, as the Engine lists them
    neighbours: Mapping[str, str]  # state by id
    expected_neighbours: Mapping[str, str]  # id by name
    scrape: Scrape
    health: str
    ready: str
    threads: int
    files: int
    development: bool
    watches: Sequence[str]  # what clients that watch know otherwise than ListJobs and the history
    drops_told: int | None  # how many lines the log says are missing; None where it is lost itself

    @property
    def live(self) -> Counter[tuple[str, str]]:
        """Name and identifier of the containers that run."""
        return Counter(
            (_label(item, "job"), _label(item, "identifier"))
            for item in self.containers
            if item["State"] in _LIVE
        )

    @property
    def live_ids(self) -> Sequence[tuple[str, str]]:
        """Identifier and id of the containers that run."""
        found = [item for item in self.containers if item["State"] in _LIVE]
        return [(_label(item, "identifier"), item["Id"]) for item in found]

    @property
    def listed(self) -> Counter[tuple[str, str]]:
        """Name and identifier of the jobs."""
        return Counter((name, identifier) for name, identifier, _ in self.jobs)


def look(stage: Stage) -> Sight:
    """See how things stand. Raises where somebody does not answer."""
    supervised = stage.supervised
    assert supervised.process is not None
    process = Path(f"/proc/{supervised.process.pid}")
    with stage.client() as client:
        everything = client.api.containers(all=True)
    told = stage.around.dropped_lines_told()
    if told is not None and told < supervised.metric(_DROPPED):
        supervised.kill("nobody")  # with the next line, the log tells of those that are missing
    return Sight(
        jobs=[(job.name, job.identifier, job.status) for job in supervised.jobs()],
        containers=stage.ours(all_of_them=True),
        neighbours={item["Id"]: item["State"] for item in everything},
        expected_neighbours=stage.neighbours,
        scrape=supervised.scrape(),
        health=supervised.health(),
        ready=supervised.http("/readyz")[1].strip(),
        threads=len(list((process / "task").iterdir())),
        files=len(list((process / "fd").iterdir())),
        development=stage.life.mode == "development",
        watches=list(stage.watches.differences()),
        drops_told=told,
    )


def wrong_with(sight: Sight) -> list[str]:
    """Everything that is not as it has to be."""
    return [f"{name}: {told}" for name, check in CHECKS.items() for told in check(sight)]


def _no_unknown_container(sight: Sight) -> Iterable[str]:
    return map(str, (sight.live - sight.listed).elements())


def _no_job_without_container(sight: Sight) -> Iterable[str]:
    return map(str, (sight.listed - sight.live).elements())


def _one_of_a_group(sight: Sight) -> Iterator[str]:
    grouped = Counter(
        _label(item, "identifier")
        for item in sight.containers
        if item["State"] in _LIVE and _label(item, "kind") == "action"
    )
    for identifier, number in grouped.items():
        if number > 1:
            yield f"{identifier}: {number} live containers"


def _nothing_left_over(sight: Sight) -> Iterator[str]:
    """Development keeps what has exited, but not what was never started."""
    kept = _LIVE | ({"exited", "dead"} if sight.development else set())
    for item in sight.containers:
        if item["State"] not in kept:
            yield f"{item['Names']} is {item['State']}"


def _neighbours_untouched(sight: Sight) -> Iterator[str]:
    for name, container_id in sight.expected_neighbours.items():
        state = sight.neighbours.get(container_id, "gone")
        if state != "running":
            yield f"{name} is {state}"


def _counters_add_up(sight: Sight) -> Iterator[str]:
    listed = Counter(name for name, _, _ in sight.jobs)
    named = {each.labels["job_name"] for each in sight.scrape.of("supervisor_jobs_running")}
    for name in sorted(named | listed.keys()):
        gauge, begun, adopted, ended = (
            sight.scrape.sum(f"supervisor_{metric}", job_name=name)
            for metric in ("jobs_running", "launches_total", "adoptions_total", "exits_total")
        )
        if not listed[name] == gauge == begun + adopted - ended:
            yield (
                f"{name}: {listed[name]} listed, {gauge:g} running,"
                f" {begun:g} launched + {adopted:g} adopted - {ended:g} ended"
            )


def _all_settled(sight: Sight) -> Iterator[str]:
    if unsettled := [job for job in sight.jobs if job[2] != "running"]:
        yield f"{unsettled}"
    states = {state: sight.scrape.sum("supervisor_jobs", state=state) for state in LABELS.states}
    if states != dict.fromkeys(LABELS.states, 0) | {"running": len(sight.jobs)}:
        yield f"{len(sight.jobs)} jobs, but supervisor_jobs is {states}"
    for what in ("launches", "pulls"):
        gauge = f"supervisor_{what}_in_progress"
        left = sight.scrape.sum(gauge) - sight.scrape.sum(gauge, state="limit")
        if left:
            yield f"{left:g} {what} in progress"


def _ready(sight: Sight) -> Iterator[str]:
    up = sight.scrape.sum("supervisor_engine_up")
    if (sight.health, sight.ready, up) != ("SERVING", "ready", 1):
        yield f"health {sight.health}, readyz {sight.ready!r}, engine_up {up:g}"


def _no_leak(sight: Sight) -> Iterator[str]:
    if sight.threads > _MOST_THREADS or sight.files > _MOST_FILES:
        yield f"{sight.threads} threads, {sight.files} open files"


def _drops_told(sight: Sight) -> Iterator[str]:
    dropped = sight.scrape.sum(_DROPPED)
    if sight.drops_told is None and not dropped:
        yield "the disk is full, and not one"
    if sight.drops_told is not None and sight.drops_told != dropped:
        yield f"{dropped:g} are, and {sight.drops_told} are told of"


CHECKS: Mapping[str, Callable[[Sight], Iterable[str]]] = {
    "a live container that the registry does not know": _no_unknown_container,
    "a job without a live container": _no_job_without_container,
    "more than one container of a grouped identifier": _one_of_a_group,
    "a container left over": _nothing_left_over,
    "a neighbour touched": _neighbours_untouched,
    "counters do not add up": _counters_add_up,
    "not settled": _all_settled,
    "not ready": _ready,
    "leaking": _no_leak,
    "a watch knows something else": lambda sight: sight.watches,
    "lines of the log dropped": _drops_told,
}


def steady_ids(sight: Sight) -> dict[str, str]:
    """The containers of the jobs that nobody touches, by identifier."""
    return {
        _label(item, "identifier"): item["Id"]
        for item in sight.containers
        if item["State"] in _LIVE and _label(item, "identifier").startswith(STEADY)
    }


def restarted_too_often(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a log that tell of more restarts than the catalogue allows."""
    for line in lines:
        told = _ATTEMPT.search(line)
        if told and '"job.backing_off"' in line and int(told[1]) > RESTARTS:
            yield line


def _label(item: Mapping[str, Any], name: str) -> str:
    label: str = item["Labels"].get(f"{PREFIX}{name}", "")
    return label


UNANSWERED = (grpc.RpcError, OSError)
"""What `look` raises while somebody does not answer."""
