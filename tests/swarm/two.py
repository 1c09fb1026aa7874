"""What tests ask of two supervisors together."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from service._generated.area_types_pb2 import Response
from tests.support.supervised import Supervised, T, eventually
from tests.support.swarm import SwarmNode

Both = tuple[Supervised, Supervised]

LABEL = "area.supervisor.identifier"
AT_ONCE = 16
# Until each lists what the other has done (seconds), on a busy machine.
AGREE = 30.0
# Until there is a leader again (seconds), on a busy machine.
ELECTION = 90.0
# What is answered meanwhile; 429 while no node is known yet.
_LATER = (429, 503, 504)


def at_once(work: Callable[[str], T], names: Iterable[str]) -> list[T]:
    """Do something with all names, sixteen at a time; what it returns."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, names))


def total(both: Sequence[Supervised], metric: str, **labels: str) -> float:
    """The sum of a counter over the supervisors."""
    return sum(each.metric(metric, **labels) for each in both)


def until_both_have(both: Sequence[Supervised], *names: str, within: float = AGREE) -> None:
    """Wait until these are the jobs of all supervisors."""
    eventually(lambda: all(each.has_only(*names) for each in both), within=within)


def launch(supervised: Supervised, name: str, **params: str) -> None:
    """Launch a job that has to succeed."""
    answer = supervised.launch("timer", name, params)
    assert answer == Response(), (name, answer)


def at_last(ask: Callable[[], Response]) -> None:
    """Ask until it is done, as a backend does that asks again while a leader is elected."""
    deadline = time.monotonic() + ELECTION
    while (answer := ask()) != Response():
        assert answer.error.code in _LATER, answer
        assert time.monotonic() < deadline, answer


def runs_on(node: SwarmNode) -> list[str]:
    """The identifiers of all that runs on a machine, sorted."""
    listed = [each for each in node.containers() if each["State"] == "running"]
    return sorted(each["Labels"][LABEL] for each in listed if LABEL in each["Labels"])
