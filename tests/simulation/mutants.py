"""Mutants of the core that the simulation has to notice: `MUTANT=NAME make simulate`.

`make simulate-mutants` tries all, or those whose names contain NAMED=...
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping

from rich.console import Console

from observability.redaction.redactor import Redactor
from service.lifecycle import launch_waits
from service.lifecycle.closing import Closing
from service.lifecycle.exit_hints import Signals
from service.lifecycle.killer import Killer
from service.lifecycle.launch_tasks import LaunchTasks
from service.lifecycle.launch_waits import LaunchWaits
from service.lifecycle.launcher import Launcher
from service.lifecycle.reaper import Reaper
from service.lifecycle.use_cases import Supervisor
from service.reconcile.events import EventHandler
from service.reconcile.watcher import Watcher
from service.state.idempotency import Keys
from service.state.pending_launches import Launches
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.state.rooms import Rooms
from tests.simulation.mutating import Mutant, Patch, apply
from tests.simulation.policy_mutants import POLICY_MUTANTS

_STEPS = 100_000
_FOUND = re.compile(r"^Found after (\d+) steps, in episode (\d+)/(\d+)", re.MULTILINE)


_LAUNCHES_BESIDE_A_RIVAL = Patch(Launcher, "_is_rival", "return same", "return False and same")

MUTANTS: Mapping[str, Mutant] = {
    "a launch request is not validated": Mutant(
        "an answer that must not be",
        [Patch(Supervisor, "_launch", "check_spec(", "(lambda *_: None)(")],
    ),
    "hints during an inspection are dropped": Mutant(
        "a wrong outcome",
        [Patch(Reaper, "_handle_hints", "while now", "if now")],
    ),
    "hints while the last lines are read are dropped": Mutant(
        "a wrong outcome",
        [Patch(Closing, "_put_back", "if job.launch_id not in self._hints:", "if True:")],
    ),
    # By itself it cannot be seen from outside: the launcher, too, finds the job running.
    "a job whose kill has failed does not keep its identifier": Mutant(
        "two live containers of an action",
        [
            Patch(LaunchWaits, "wait_for_predecessors", "return runs_on", "return None"),
            _LAUNCHES_BESIDE_A_RIVAL,
        ],
        control=[_LAUNCHES_BESIDE_A_RIVAL],
    ),
    "a launch waits for the end of a job whose kill has failed": Mutant(
        "a request unanswered",
        [Patch(launch_waits, "_keeps_identifier", "(job.runs and", "(False and")],
    ),
    "readiness leaves a task that waits": Mutant(
        "tasks left",
        [Patch(Readiness, "when_ready", "fallen.cancel()", "pass")],
    ),
    "a kill does not mark its intent": Mutant(
        "a wrong outcome",
        [
            Patch(
                Killer,
                "_begin",
                "self.registry.observe(job.launch_id, KillIntended(caller()))",
                "pass",
            )
        ],
    ),
    "signals of third parties are not noted": Mutant(
        "a wrong cause",
        [Patch(EventHandler, "handle", "self.signals.note(event.id, event.signal or 0)", "pass")],
    ),
    "a harmless signal counts as a cause": Mutant(
        "a wrong cause",
        [Patch(Signals, "note", "number not in _HARMLESS", "True")],
    ),
    "the last lines are not redacted": Mutant(
        "a secret in the log",
        [Patch(Redactor, "__call__", "if not text or not self.has_secrets:", "if True:")],
    ),
    "a client that hangs up cancels a shared launch": Mutant(
        "an answer that must not be",
        [Patch(Launches, "share", "await asyncio.shield(", "await (")],
    ),
    "a launch joins a job that has exited": Mutant(
        "a launch without a container",
        [Patch(Supervisor, "_joinable", "job.closing or ", "")],
    ),
    "the key of an adopted job is not kept": Mutant(
        "a key that was launched twice",
        [Patch(Registry, "_add", "self.keys.hold(job)", "job.adopted or self.keys.hold(job)")],
    ),
    "a key is forgotten too soon": Mutant(
        "a key that was launched twice",
        [Patch(Keys, "remember", "KEPT_SECONDS", "250")],
    ),
    "a key is never forgotten": Mutant(
        "a launch without a container",
        [Patch(Keys, "remember", "KEPT_SECONDS", "10_000")],
    ),
    "a launch that should wait for room goes on": Mutant(
        "more jobs than may run",
        [Patch(LaunchTasks, "begin", "if full:", "if False:")],
    ),
    "room that is free is given to nobody": Mutant(
        "a launch that waits while there is room",
        [Patch(Rooms, "_note_if_gone", "self.update()", "pass")],
    ),
    "a kill waits for launches that wait for room": Mutant(
        "a kill that waits for a launch",
        [Patch(Killer, "_stop", "self.launches.end(", "(lambda *_: None)(")],
    ),
    "a launch is accepted while cordoned": Mutant(
        "a launch while cordoned",
        [Patch(Supervisor, "_launch", "self.cordon.check()", "pass")],
    ),
    "watches are told of states only": Mutant(
        "a watch knows something else",
        [
            Patch(
                Registry,
                "observe",
                "after.visible != before.visible",
                "after.state != before.state",
            )
        ],
    ),
    "an adopted job is not told": Mutant(
        "a watch knows something else",
        [
            Patch(
                Registry,
                "_notify_of_change",
                "for listener in",
                "for listener in () if job.adopted else",
            )
        ],
    ),
    "rivals are not checked": Mutant(
        "a rival unnoticed",
        [Patch(Watcher, "_start", "await self.single_instance.check()", "pass")],
    ),
    **POLICY_MUTANTS,
}


def mutate(name: str, *, control: bool = False) -> None:
    """Break the code of this process."""
    mutant = MUTANTS[name]
    apply(mutant.control if control else mutant.patches)


def main() -> int:
    """Try each; 1 where one has survived."""
    console = Console(soft_wrap=True)
    tried = [name for name in MUTANTS if os.environ.get("NAMED", "") in name]
    survivors = []
    for name in tried:
        told = _found(name)
        console.out(f"{name}: {told or 'SURVIVED'}", highlight=False)
        survivors += [] if told else [name]
    console.out(f"{len(tried)} mutants, survivors: {survivors or 'none'}", highlight=False)
    return 1 if survivors else 0


def _found(name: str) -> str:
    """After how many steps, and as what; empty where it has survived."""
    mutant, played, episode = MUTANTS[name], 0, 0
    most = int(os.environ.get("STEPS") or _STEPS)
    while played < most:
        output = _simulate(name, EPISODE=str(episode), STEPS=str(most - played))
        if not (found := _FOUND.search(output)):
            return ""
        played += int(found[1])
        wrong = [line for line in output.splitlines() if line.startswith(mutant.seen_as)]
        if wrong and not (mutant.control and _FOUND.search(_control(name, found[3]))):
            return f"after {played} steps, in episode {found[2]}/{found[3]}: {wrong[0]}"
        episode = int(found[3]) + 1
    return ""


def _control(name: str, episode: str) -> str:
    """What is said of the same episode with less broken."""
    return _simulate(name, EPISODE=episode, STEPS="1", CONTROL="1")


def _simulate(name: str, **more: str) -> str:
    environment = os.environ | {"MUTANT": name, "SHRINK": "0"} | more
    command = [sys.executable, "-m", "tests.simulation"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode and not _FOUND.search(ended.stdout):
        raise RuntimeError(f"{name}: no run came of it: {ended.returncode} {ended.stderr}")
    return ended.stdout


if __name__ == "__main__":
    sys.exit(main())
