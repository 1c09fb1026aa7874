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


class Mutant(NamedTuple):
    """What is broken, and as what the simulation has to see it."""

    seen_as: str
    patches: Sequence[Patch]


MUTANTS: Mapping[str, Mutant] = {
    "a launch is not checked": Mutant(
        "an answer that must not be",
        [Patch(Supervisor, "_launch", "check_spec(spec)", "pass")],
    ),
    "what is said during a look is forgotten": Mutant(
        "a wrong outcome",
        [Patch(Reaper, "_follow_hints", "while self._registry", "if self._registry")],
    ),
    "what is said while the last lines are read is forgotten": Mutant(
        "a wrong outcome",
        [Patch(Reaper, "_finish", "if job.launch_id in self._hints:", "if False:")],
    ),
    # By itself it cannot be seen from outside: the launcher's own look finds the container, too.
    "a job whose kill has failed does not keep its identifier": Mutant(
        "two live containers of an action",
        [
            Patch(Supervisor, "_outlived", "if runs_on:", "if False:"),
            Patch(Launcher, "_is_rival", "return same", "return False and same"),
        ],
    ),
    "a launch waits for the end of a job whose kill has failed": Mutant(
        "a request unanswered",
        [Patch(Supervisor, "_settled", "lambda j: j.steady", "lambda _: False")],
    ),
    "a task that waits is left behind": Mutant(
        "tasks left",
        [Patch(Readiness, "when_ready", "fallen.cancel()", "pass")],
    ),
}


def mutate(name: str) -> None:
    """Break the code of this process."""
    for patch in MUTANTS[name].patches:
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
    wrong = [line for line in ended.stdout.splitlines() if line.startswith(MUTANTS[name].seen_as)]
    Console(soft_wrap=True).out(f"{name}: {wrong[0] if wrong else 'SURVIVED'}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
