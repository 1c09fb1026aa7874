"""Ways to break the code that the simulation has to notice: `MUTANT=NAME make simulate`.

Each replaces pieces of the source of methods, in memory. `make simulate-mutants` tries all.
"""

import inspect
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.console import Console

from service.adopter import Adopter
from service.launcher import Launcher
from service.readiness import Readiness
from service.reaper import Reaper
from service.supervisor import Supervisor

_STEPS = "100000"


class Patch(NamedTuple):
    """A method, and what of its source is replaced by what."""

    owner: type
    method: str
    old: str
    new: str


MUTANTS: Mapping[str, Sequence[Patch]] = {
    "a launch is not checked": [Patch(Supervisor, "_launch", "check_spec(spec)", "pass")],
    "what is said during a look is forgotten": [
        Patch(Reaper, "_follow_hints", "while self._registry", "if self._registry")
    ],
    "what is said while the last lines are read is forgotten": [
        Patch(Reaper, "_finish", "if job.launch_id in self._hints:", "if False:")
    ],
    # The launcher's own look would find the container, too.
    "a job whose kill has failed does not keep its identifier": [
        Patch(Supervisor, "_outlived", "if runs_on:", "if False:"),
        Patch(Launcher, "_is_rival", "return same", "return False and same"),
    ],
    "a launch waits for the end of a job whose kill has failed": [
        Patch(Supervisor, "_settled", "lambda j: j.steady", "lambda _: False")
    ],
    "a task that waits is left behind": [Patch(Readiness, "when_ready", "fallen.cancel()", "pass")],
    "two ends are told of what is set aside": [Patch(Adopter, "_settle", "and not seen.aside", "")],
}


def mutate(name: str) -> None:
    """Break the code of this process."""
    for patch in MUTANTS[name]:
        made: dict[str, object] = {}
        exec(patched(patch), vars(sys.modules[patch.owner.__module__]), made)
        setattr(patch.owner, patch.method, made[patch.method])


def patched(patch: Patch) -> str:
    """The method's source, broken. Raises ValueError where the code is another by now."""
    source = textwrap.dedent(inspect.getsource(getattr(patch.owner, patch.method)))
    if (times := source.count(patch.old)) != 1:
        raise ValueError(f"{patch.owner.__name__}.{patch.method}: has {patch.old!r} {times} times")
    return source.replace(patch.old, patch.new)


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
