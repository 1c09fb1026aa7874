"""Who launches and kills containers: the supervisor, and the bare Engine to compare it with."""

from typing import Protocol

from benchmarks.bare_engine import BareEngine
from benchmarks.bench import Bench, launch
from benchmarks.calls import identifier_of
from benchmarks.result import AGAIN
from service._generated.area_types_pb2 import Response
from tests.support.supervised import Supervised

BARE = "bare Engine"
SUPERVISOR = "supervisor"


class Contender(Protocol):
    """Launches containers one at a time, from any thread, and ends them all."""

    def launch(self, number: int) -> None:
        """Return when the container runs."""

    def end_all(self) -> None:
        """Return when all containers are gone."""


class SupervisorContender:
    """What a backend has: gRPC."""

    def __init__(self, supervised: Supervised) -> None:
        self._supervised = supervised

    def launch(self, number: int) -> None:
        """LaunchJob."""
        launch(self._supervised, identifier_of(number))

    def end_all(self) -> None:
        """KillAllJobs."""
        answer = self._supervised.kill_all()
        if answer != Response():
            raise RuntimeError(f"not everything was killed: {answer}")


def contenders(bench: Bench, supervised: Supervised) -> dict[str, Contender]:
    """By name. All containers have the same options: those of the supervisor's."""
    ours = SupervisorContender(supervised)
    bare = BareEngine(bench.engine.socket)
    ours.launch(0)
    bare.copy_options(bare.only_container())
    ours.end_all()
    return {BARE: bare, SUPERVISOR: ours, BARE + AGAIN: bare}
