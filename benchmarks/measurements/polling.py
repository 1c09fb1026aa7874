"""What it costs to poll a Swarm by its jobs and nodes, and how soon ends are noticed.

The manager is simulated, in this process: it answers as a real one does, and runs nothing.
"""

import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.bench import Bench, launch
from benchmarks.calls import identifier_of
from benchmarks.processes import cpu_seconds
from benchmarks.result import Goal, Result, Rounds
from service.jobs.labels import LAUNCH_LABEL
from tests.simulated_manager.server import SimulatedManager
from tests.simulated_manager.swarm import SimulatedSwarm
from tests.support.supervised import Supervised, eventually

_SIZES = ((100, 1), (1_000, 1), (1_000, 100), (10_000, 1))  # jobs, nodes
_SHARE, _CPU = "of a core, for polling", Goal(10, absolute=True)
_NOTICED = "until an end is noticed"
_AT_ONCE, _LATER = Goal(2, absolute=True), Goal(5, absolute=True)
_IMAGE = "supervisor-bench-worker"
_FILLED = 600.0
_LOOK = 0.05
_PAUSE = 0.25  # between two questions for the metrics, which take the supervisor's time
_RUNNING = re.compile(r'^supervisor_jobs_running\{job_name="timer"\} (\S+)$', re.MULTILINE)
_COMPARED = "supervisor_reconcile_last_success_timestamp_seconds"


def measure(bench: Bench) -> Result:
    """Let a supervisor follow so many jobs, and let some of them end."""
    found = Rounds()
    for jobs, nodes in _SIZES[:2] if bench.quick else _SIZES:
        who = _who(jobs, nodes)
        with _followed(bench, jobs, nodes) as (swarm, supervised):
            before = _next_comparison(supervised)
            window = _next_comparison(supervised) - before  # has the work of one comparison
            for _ in bench.rounds([None], bench.size(6, 2), f"polling, {who}"):
                found.add(_SHARE, who, _share(supervised.pid, window) * 100)
                found.add(_NOTICED, who, _until_noticed(swarm, supervised))
    rows = found.rows(_SHARE, "%", goals={_who(*size): _CPU for size in _SIZES})
    rows += found.rows(_NOTICED, "s", goals={_who(*size): _within(*size) for size in _SIZES})
    return Result("polling", rows)


@contextmanager
def _followed(bench: Bench, jobs: int, nodes: int) -> Iterator[tuple[SimulatedSwarm, Supervised]]:
    """A supervisor that has taken over so many jobs."""
    swarm = SimulatedSwarm([_IMAGE], nodes=nodes)
    manager = SimulatedManager(bench.directory / f"manager-{jobs}-{nodes}.sock", swarm)
    manager.start()
    settings = {
        "DOCKER_HOST": manager.host,
        "SUPERVISOR_ENGINE": "swarm",
        "GRPC_CALLBACK_HOST": "backend.test",
    }
    with bench.new_supervisor(**settings) as supervised:
        launch(supervised.stub, identifier_of(0))
        (service,) = swarm.services()
        swarm.copy(service["ID"], jobs - 1, _renamed)
        eventually(lambda: supervised.metric("supervisor_jobs") == jobs, within=_FILLED)
        yield swarm, supervised
    manager.stop()


def _next_comparison(supervised: Supervised) -> float:
    """Wait for the end of a comparison with the manager. Return when it was."""
    before = supervised.metric(_COMPARED)
    while (ended := supervised.metric(_COMPARED)) == before:
        time.sleep(_PAUSE)
    return ended


def _renamed(spec: Any, number: int) -> Any:
    """The spec of another job."""
    text = json.dumps(spec).replace(identifier_of(0), identifier_of(number + 1))
    return json.loads(text.replace(spec["Labels"][LAUNCH_LABEL], secrets.token_hex(8)))


def _share(pid: int, seconds: float) -> float:
    """How much of a core a process uses."""
    began, before = time.perf_counter(), cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.perf_counter() - began)


def _until_noticed(swarm: SimulatedSwarm, supervised: Supervised) -> float:
    """Let a job end, and look for the moment when it counts as running no more."""
    running = _running(supervised)
    swarm.end(secrets.choice(swarm.services())["ID"], 1)
    began = time.perf_counter()
    while _running(supervised) == running:
        time.sleep(_LOOK)
    return time.perf_counter() - began


def _running(supervised: Supervised) -> str:
    """Without a parser, which would take the time of the manager in this process."""
    (found,) = _RUNNING.findall(supervised.http("/metrics")[1])
    return str(found)


def _who(jobs: int, nodes: int) -> str:
    return f"{jobs:,} jobs" + (f" on {nodes} nodes" if nodes > 1 else "")


def _within(jobs: int, _nodes: int) -> Goal:
    return _AT_ONCE if jobs <= 1_000 else _LATER  # noqa: PLR2004
