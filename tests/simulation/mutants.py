"""Ways to break the code that the simulation has to notice: `MUTANT=NAME make simulate`.

Each replaces a piece of the source of one method, in memory. `make simulate-mutants` tries all.
"""

import inspect
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from typing import NamedTuple

from rich.console import Console

from service.readiness import Readiness
from service.reaper import Reaper
from service.supervisor import Supervisor

_STEPS = "100000"


class Mutant(NamedTuple):
    """A method, and what of its source is replaced by what."""

    owner: type
    method: str
    old: str
    new: str


MUTANTS: Mapping[str, Mutant] = {
    "a launch is not checked": Mutant(Supervisor, "_launch", "check_spec(spec)", "pass"),
    "what is said during a look is forgotten": Mutant(
        Reaper, "_follow_hints", "while self._registry", "if self._registry"
    ),
    "what is said while the last lines are read is forgotten": Mutant(
        Reaper, "_finish", "if job.launch_id in self._hints:", "if False:"
    ),
    "a pause during a look is forgotten": Mutant(
        Reaper, "hear_pause", "if launch_id in self._reaps:", "if False:"
    ),
    "a look that is older than an exit counts": Mutant(
        Reaper, "_found_live", "if exits != self._exits(job):", "if False:"
    ),
    "a job whose kill has failed does not keep its identifier": Mutant(
        Supervisor, "_outlived", "if runs_on:", "if False:"
    ),
    "a launch waits for the end of a job whose kill has failed": Mutant(
        Supervisor, "_settled", "lambda j: j.steady", "lambda _: False"
    ),
    "a task that waits is left behind": Mutant(Readiness, "when_ready", "fallen.cancel()", "pass"),
}


def mutate(name: str) -> None:
    """Break the code of this process. Raises ValueError where the code is another by now."""
    owner, method, old, new = MUTANTS[name]
    source = textwrap.dedent(inspect.getsource(getattr(owner, method)))
    if source.count(old) != 1:
        raise ValueError(f"{owner.__name__}.{method}: has {old!r} {source.count(old)} times")
    made: dict[str, object] = {}
    module = sys.modules[owner.__module__]
    exec(source.replace(old, new), vars(module), made)
    setattr(owner, method, made[method])


def main() -> int:
    """Try each; 1 where one has survived."""
    survivors = [name for name in MUTANTS if not _is_found(name)]
    Console(soft_wrap=True).out(f"{len(MUTANTS)} mutants, survivors: {survivors or 'none'}")
    return 1 if survivors else 0


def _is_found(name: str) -> bool:
    environment = {"STEPS": _STEPS} | os.environ | {"MUTANT": name, "SHRINK": "0"}
    command = [sys.executable, "-m", "tests.simulation"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    last = ended.stdout.strip().splitlines()[-1:] or [ended.stderr[-500:]]
    Console(soft_wrap=True).out(
        f"{name}: {'found' if ended.returncode == 1 else 'SURVIVED'}: {last[0][:300]}"
    )
    return ended.returncode == 1


if __name__ == "__main__":
    sys.exit(main())
