"""What an access file costs a dedup with a token, without TLS and with it."""

from contextlib import ExitStack
from pathlib import Path

import grpc

from benchmarks.bench import Bench, launch
from benchmarks.calls import DEDUP, identifier_of
from benchmarks.processes import Program
from benchmarks.result import AGAIN, Goal, Result, Rounds, Row
from benchmarks.throughput import SAMPLED, UNSAMPLED, Load, Server, collected, take_turns
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service.access.tokens import hash_line, new_token
from tests.support.supervised import free_port

OPEN = "nobody is asked"
CHECKED = "with an access file"
SECURED = "with an access file and TLS"
_LOADS = (Load(DEDUP, SAMPLED), Load(DEDUP, UNSAMPLED))
_GOAL = Goal(1.05)
_CLIENTS = 100  # the check should cost the same for one
_GENERATIONS = 10  # new processes after every few rounds
# Short turns, so that a change in the speed of the machine meets all ports.
_ROUNDS, _CALLS = 32, 500


def measure(bench: Bench) -> Result:
    """Measure a dedup at each port, in rounds, with new processes after every few rounds."""
    found, token = Rounds(), new_token()
    path = bench.directory / "access.toml"
    path.write_text(_file(token), encoding="utf-8")
    generations = bench.size(_GENERATIONS, 1)
    for number in range(generations):
        text = f"access, {number + 1} of {generations}"
        _measure_process(bench, found, path, token, text)
    rows: list[Row] = []
    for load in _LOADS:
        rows += found.rows(load.cpu, "µs", baseline=OPEN, goals={CHECKED: _GOAL})
        rows += found.rows(load.rate, "1/s", baseline=OPEN)
    return Result("access", rows)


def _file(token: str) -> str:
    """An access file in which the token is that of one of many clients."""
    tokens = [token, *(new_token() for _ in range(_CLIENTS - 1))]
    return "".join(
        f'[clients.c-{number}]\nrole = "backend"\njobs = ["*"]\ntokens = ["{hash_line(each)}"]\n'
        for number, each in enumerate(tokens)
    )


def _measure_process(bench: Bench, found: Rounds, file: Path, token: str, text: str) -> None:
    # All are shown the token: what differs is the check.
    shown = {"authorization": f"Bearer {token}"}
    guarded, secured, again = (free_port() for _ in range(3))
    log = bench.directory / "guarded.log"
    words = [str(each) for each in (file, guarded, secured, again)]
    with ExitStack() as stack:
        exporting = stack.enter_context(collected(bench))
        program = stack.enter_context(
            Program("benchmarks.servers.guarded", *words, environment=exporting, log=log)
        )
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{program.port}"))
        launch(AreaSupervisorServiceStub(channel), identifier_of(0))
        ports = {OPEN: program.port, CHECKED: guarded, SECURED: secured, OPEN + AGAIN: again}
        servers = {
            who: Server(port, program.pid, tls=who == SECURED, headers=shown)
            for who, port in ports.items()
        }
        for load in _LOADS:
            rounds = bench.size(_ROUNDS, 2)
            found.extend(take_turns(bench, servers, load, text, rounds, calls=_CALLS))
