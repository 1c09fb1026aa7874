"""The figures of a simulation."""

import hashlib
import time
from collections import Counter

from rich.console import Console
from rich.table import Table

from tests.simulation.episode import Result


class Figures:
    """Adds up episodes. Its clock runs from when it is made."""

    def __init__(self) -> None:
        self.steps = 0
        self._began = time.process_time()
        self._episodes = 0
        self._virtual = 0.0
        self._longest_answer = 0.0
        self._wrong = 0
        self._counts: Counter[str] = Counter()
        self._digest = hashlib.sha256()

    def add(self, result: Result) -> None:
        """Count an episode."""
        self.steps += result.steps
        self._episodes += 1
        self._virtual += result.seconds
        self._longest_answer = max(self._longest_answer, result.longest_answer)
        self._wrong += bool(result.wrong)
        self._counts += result.counts
        self._digest.update(result.digest.encode())

    def show(self, console: Console) -> None:
        """Print what was done."""
        took = time.process_time() - self._began
        table = Table(title="Simulation", show_header=False, title_justify="left")
        rate = f"{self.steps / took:.0f} a second"
        table.add_row("steps", f"{self.steps} in {took:.1f} s of CPU time: {rate}")
        table.add_row("episodes", f"{self._episodes}, {self._virtual / 3600:.1f} h of virtual time")
        table.add_row("longest answer", f"{self._longest_answer:.1f} s")
        table.add_row("steps and answers", _columns(self._counts))
        table.add_row("digest", self._digest.hexdigest()[:16])
        table.add_row("violations", str(self._wrong))
        console.print(table)


def _columns(counts: Counter[str]) -> str:
    told = [f"{number} {what}" for what, number in counts.most_common()]
    return ", ".join(told)
