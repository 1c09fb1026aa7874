"""What an access file costs: a dedup with a token, beside a supervisor that does not check it."""

from contextlib import ExitStack
from pathlib import Path

from benchmarks.bench import Bench, launch
from benchmarks.calls import DEDUP, identifier_of
from benchmarks.contenders import SUPERVISOR
from benchmarks.result import AGAIN, Goal, Result, Rounds, Row
from benchmarks.throughput import SAMPLED, UNSAMPLED, Load, Server, collected, take_turns
from service.access.tokens import hash_line, new_token

CHECKED = "supervisor, with an access file"
_LOADS = (Load(DEDUP, SAMPLED), Load(DEDUP, UNSAMPLED))
_GOAL = Goal(1.05)
_CLIENTS = 100  # the check should cost the same for one
# Two processes of one kind differ by some per cent as long as they run, hence new processes.
_GENERATIONS = 10


def measure(bench: Bench) -> Result:
    """Measure a dedup at each server, in rounds, with new processes after every few rounds."""
    found, token = Rounds(), new_token()
    path = bench.directory / "access.toml"
    path.write_text(_file(token), encoding="utf-8")
    generations = bench.size(_GENERATIONS, 1)
    for number in range(generations):
        text = f"access, {number + 1} of {generations}"
        _measure_processes(bench, found, path, token, text)
    rows: list[Row] = []
    for load in _LOADS:
        rows += found.rows(load.cpu, "µs", baseline=SUPERVISOR, goals={CHECKED: _GOAL})
        rows += found.rows(load.rate, "1/s", baseline=SUPERVISOR)
    return Result("access", rows)


def _file(token: str) -> str:
    """An access file. Whoever shows nothing launches the job before, and ends it after."""
    tokens = [token, *(new_token() for _ in range(_CLIENTS - 1))]
    clients = [
        f'[clients.c-{number}]\nrole = "backend"\njobs = ["*"]\ntokens = ["{hash_line(each)}"]\n'
        for number, each in enumerate(tokens)
    ]
    return "".join(clients) + '[anonymous]\nrole = "operator"\n'


def _measure_processes(bench: Bench, found: Rounds, file: Path, token: str, text: str) -> None:
    # All are shown the token: what differs is the check.
    shown = {"authorization": f"Bearer {token}"}
    kinds: dict[str, dict[str, str]] = {
        SUPERVISOR: {},
        CHECKED: {"ACCESS_FILE": str(file)},
        SUPERVISOR + AGAIN: {},
    }
    with ExitStack() as stack:
        exporting = stack.enter_context(collected(bench))
        servers = {}
        for number, (who, setting) in enumerate(kinds.items()):
            settings = {**exporting, **setting, "SUPERVISOR_INSTANCE": f"access-{number}"}
            supervised = stack.enter_context(bench.supervisor(**settings))
            launch(supervised.stub, identifier_of(0))
            servers[who] = Server(supervised.port, supervised.pid, headers=shown)
        for load in _LOADS:
            found.extend(take_turns(bench, servers, load, text, bench.size(4, 2)))
