"""The contenders that launch and kill containers: the supervisor and the bare Engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import grpc
from google.protobuf.empty_pb2 import Empty

from benchmarks.bare_engine import BareEngine
from benchmarks.bench import Bench, launch
from benchmarks.calls import identifier_of
from benchmarks.processes import Program
from benchmarks.result import AGAIN
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.area_types_pb2 import Response
from tests.support.supervised import Supervised

BARE = "bare Engine"
SUPERVISOR = "supervisor"


class Launcher(Protocol):
    """Launches containers one at a time, from any thread."""

    def launch(self, number: int) -> None:
        """Return when the container runs."""


class Contender(Launcher, Protocol):
    """Can also kill all containers."""

    def end_all(self) -> None:
        """Remove all containers."""


class OverGrpc:
    """A client of the contract, for any server."""

    def __init__(self, stub: AreaSupervisorServiceStub) -> None:
        self._stub = stub

    def launch(self, number: int) -> None:
        """LaunchJob."""
        launch(self._stub, identifier_of(number))

    def end_all(self) -> None:
        """KillAllJobs."""
        answer = self._stub.KillAllJobs(Empty(), timeout=600)
        if answer != Response():
            raise RuntimeError(f"not everything was killed: {answer}")


def contenders(bench: Bench, supervised: Supervised) -> dict[str, Contender]:
    """The contenders by name. All create containers with the options of the supervisor's."""
    ours = OverGrpc(supervised.stub)
    bare = BareEngine(bench.engine.socket)
    ours.launch(0)
    bare.copy_options(bare.only_container())
    ours.end_all()
    return {BARE: bare, SUPERVISOR: ours, BARE + AGAIN: bare}


@contextmanager
def bare_grpc(bench: Bench) -> Iterator[tuple[Launcher, int]]:
    """A server that only calls the bare Engine, and the id of its process.

    Its containers get the options of the running one.
    """
    socket, log = str(bench.engine.socket), bench.directory / "bare-grpc.log"
    with (
        Program("benchmarks.servers.launching", socket, log=log) as program,
        grpc.insecure_channel(f"127.0.0.1:{program.port}") as channel,
    ):
        yield OverGrpc(AreaSupervisorServiceStub(channel)), program.pid
