"""Many jobs: launches, a start, an Engine's return, and the exits of all at the same time."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import docker

from benchmarks.bench import Bench, launch
from benchmarks.calls import identifier_of
from benchmarks.contenders import SUPERVISOR
from benchmarks.result import Result, Rounds
from tests.support.supervised import Supervised, eventually

_AT_ONCE = 8
_PATIENCE = 900.0  # for the slowest of these, on a busy machine (seconds)
_LAUNCHES = "launches"
_ADOPT = "start with adopt, to SERVING"
_ENDS = "ends at one moment, to the last that is closed"
_RETURN = "return of an Engine that was killed, with live-restore, to SERVING"
_REMOVE = "start with remove, to SERVING"


def measure(bench: Bench) -> Result:
    """Measure these with 1,000 jobs."""
    found, jobs = Rounds(), bench.size(1_000, 48)
    who = f"{SUPERVISOR}, {jobs:,} jobs"
    bench.engine.live_restore(on=True)
    bench.engine.restart()
    with bench.supervisor(SUPERVISOR_ON_START="adopt") as supervised:
        for _ in bench.rounds([None], bench.size(2, 1), "hundreds"):
            found.add(_LAUNCHES, who, _timed(lambda: _launch(supervised, jobs)))
            found.add(_ADOPT, who, _restart(supervised, "adopt", jobs))
            # Before the Engine is killed: a restarted Docker 20.10 that gets a
            # thousand exits at once may not answer calls about those containers any more.
            found.add(_ENDS, who, _end_at_once(bench, supervised))
            _launch(supervised, jobs)
            found.add(_RETURN, who, _return(bench, supervised, jobs))
            found.add(_REMOVE, who, _restart(supervised, "remove", 0))
            _restart(supervised, "adopt", 0)
    bench.engine.live_restore(on=False)
    bench.engine.restart()
    rows = [found.rows(what, "s") for what in (_LAUNCHES, _ADOPT, _ENDS, _RETURN, _REMOVE)]
    return Result("hundreds", [row for each in rows for row in each])


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _launch(supervised: Supervised, jobs: int) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda n: launch(supervised.stub, identifier_of(n)), range(jobs)))


def _restart(supervised: Supervised, on_start: str, left: int) -> float:
    """The time from the new process to SERVING. Check the number of jobs."""
    supervised.stop()
    began = time.perf_counter()
    supervised.start(ready=False, SUPERVISOR_ON_START=on_start)
    eventually(supervised.is_ready, within=_PATIENCE)
    took = time.perf_counter() - began
    if (running := len(supervised.jobs())) != left:
        raise RuntimeError(f"{running} jobs run after a start with {on_start}, and not {left}")
    return took


def _return(bench: Bench, supervised: Supervised, jobs: int) -> float:
    """The time from the first answer of the new Engine until all jobs are known to run."""
    bench.engine.kill()
    eventually(lambda: not supervised.is_ready(), within=_PATIENCE)
    bench.engine.start()
    took = _timed(lambda: eventually(supervised.is_ready, within=_PATIENCE))
    if (running := len(supervised.jobs())) != jobs:
        raise RuntimeError(f"{running} jobs run after the Engine's return, and not {jobs}")
    return took


def _end_at_once(bench: Bench, supervised: Supervised) -> float:
    """The time from a third party's kill of all workers until all jobs are closed and removed."""
    with closing(docker.APIClient(bench.engine.host)) as client:
        pids = [client.inspect_container(c["Id"])["State"]["Pid"] for c in client.containers()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return _timed(lambda: eventually(supervised.is_idle, within=_PATIENCE))
