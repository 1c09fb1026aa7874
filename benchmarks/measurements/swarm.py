"""Launches, kills and ends on a Swarm of one node and of three, beside bare services."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

from benchmarks.bare_swarm import BareSwarm
from benchmarks.bench import Bench, make_worker
from benchmarks.calls import identifier_of
from benchmarks.contenders import SUPERVISOR, Contender, OverGrpc
from benchmarks.result import AGAIN, Goal, Result, Rounds, Row
from tests.support.supervised import Supervised, eventually
from tests.support.swarm import Swarm, a_swarm, wait_for

BARE = "bare services"
_RATE, _NOTICED = Goal(0.95, at_least=True), Goal(2, absolute=True)
_AT_ONCE = 16
_WORKERS, _THREE = 2, ", three nodes"
_LOOK = 0.01  # seconds
_WITHIN = 60.0


def measure(bench: Bench) -> Result:
    """Launch and end many at once, launch one after another, and notice ends, in rounds."""
    with a_swarm() as swarm, _supervisor(bench, swarm) as supervised:
        entrants = _entrants(swarm, supervised)
        rows = _many(bench, swarm, supervised, entrants, bench.size(12, 2))
        rows += _one_by_one(bench, swarm, supervised, entrants)
        rows += _ends(bench, swarm, supervised)
    with a_swarm(workers=_WORKERS) as swarm, _supervisor(bench, swarm) as supervised:
        entrants = _entrants(swarm, supervised)
        rows += _many(bench, swarm, supervised, entrants, bench.size(6, 2), where=_THREE)
    return Result("swarm", rows)


@contextmanager
def _supervisor(bench: Bench, swarm: Swarm) -> Iterator[Supervised]:
    for node in swarm.nodes:
        with node.client() as client:
            make_worker(client)
    settings = {
        "DOCKER_HOST": swarm.manager.host,
        "SUPERVISOR_ENGINE": "swarm",
        "GRPC_CALLBACK_HOST": "backend.test",
    }
    with bench.supervisor(**settings) as supervised:
        yield supervised


def _entrants(swarm: Swarm, supervised: Supervised) -> dict[str, Contender]:
    ours, bare = OverGrpc(supervised.stub), BareSwarm(swarm.manager.socket)
    ours.launch(0)
    bare.copy_spec()
    ours.end_all()
    return {BARE: bare, SUPERVISOR: ours, BARE + AGAIN: bare}


def _many(
    bench: Bench,
    swarm: Swarm,
    supervised: Supervised,
    entrants: dict[str, Contender],
    rounds: int,
    *,
    where: str = "",
) -> list[Row]:
    found, jobs = Rounds(), bench.size(50, 8)
    rate, end = f"rate, {_AT_ONCE} in flight{where}", f"end of {jobs} jobs{where}"
    for who in bench.rounds(list(entrants), rounds, f"swarm, {jobs} jobs{where}"):
        began = time.perf_counter()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(entrants[who].launch, range(jobs)))
        found.add(rate, who, jobs / (time.perf_counter() - began))
        began = time.perf_counter()
        entrants[who].end_all()
        found.add(end, who, time.perf_counter() - began)
        _settle(swarm, supervised)
    return [
        *found.rows(rate, "1/s", baseline=BARE, goals={SUPERVISOR: _RATE}),
        *found.rows(end, "s", baseline=BARE),
    ]


def _one_by_one(
    bench: Bench, swarm: Swarm, supervised: Supervised, entrants: dict[str, Contender]
) -> list[Row]:
    found, what = Rounds(), "latency, one at a time"
    for who in bench.rounds(list(entrants), bench.size(6, 2), "swarm, latency"):
        took: list[float] = []
        for number in range(bench.size(6, 2)):
            began = time.perf_counter()
            entrants[who].launch(number)
            took.append(time.perf_counter() - began)
        found.add(what, who, median(took))
        entrants[who].end_all()
        _settle(swarm, supervised)
    return found.rows(what, "s", baseline=BARE)


def _ends(bench: Bench, swarm: Swarm, supervised: Supervised) -> list[Row]:
    """Kill containers past the supervisor, and look for the moment when their jobs are gone."""
    found, what = Rounds(), "until an end is noticed"
    ours, jobs = OverGrpc(supervised.stub), bench.size(50, 8)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(ours.launch, range(jobs)))
    for number in range(bench.size(20, 2)):
        identifier = identifier_of(number)
        with swarm.manager.client() as client:
            label = f"area.supervisor.identifier={identifier}"
            (container,) = client.api.containers(filters={"label": label})
            client.api.kill(container["Id"])
        began = time.perf_counter()
        while identifier in supervised.running():
            time.sleep(_LOOK)
        found.add(what, f"{jobs} jobs", time.perf_counter() - began)
    return found.rows(what, "s", goals={f"{jobs} jobs": _NOTICED})


def _settle(swarm: Swarm, supervised: Supervised) -> None:
    """Wait until the nodes have removed what has ended."""
    for node in swarm.nodes:
        wait_for(lambda: not node.containers(), "no container is left")  # noqa: B023 - at once
    eventually(supervised.is_idle, within=_WITHIN)
