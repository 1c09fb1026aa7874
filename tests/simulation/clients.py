"""The supervisor's clients: they send requests, hang up, and have the answers checked."""

import asyncio
from typing import Any

from tests.simulation.answers import Answers, answer_of
from tests.simulation.asked import Asked
from tests.simulation.excuses import Excuses
from tests.simulation.life import Life
from tests.simulation.record import EVERYBODY, KillAsked
from tests.simulation.steps import Kill, KillAll, Launch, Request
from tests.simulation.trouble import Trouble
from tests.simulation.virtual import VirtualLoop
from tests.simulation.witness import Witness


class Clients:
    """Every request of an episode."""

    def __init__(
        self,
        loop: VirtualLoop,
        witness: Witness,
        *,
        answers: Answers,
        trouble: Trouble,
        excuses: Excuses,
    ) -> None:
        self.pending: list[Asked] = []
        self.longest_answer = 0.0
        self._loop = loop
        self._witness = witness
        self._answers = answers
        self._trouble = trouble
        self._excuses = excuses

    def ask(self, act: Request, life: Life | None) -> None:
        """Make a request. A supervisor that does not listen is not asked."""
        if life is None or not life.listening:
            self._witness.count("answer UNAVAILABLE")
            return
        asked = Asked(act, self._loop.time(), life, life.core.readiness.listed)
        asked.launches = self._note_kill(asked)
        asked.kills_since = self._kills_since(asked)
        self._excuses.note_asked(asked)
        task = asked.task = life.call(act)
        self.pending.append(asked)
        task.add_done_callback(lambda done: self._answered(asked, done))
        if isinstance(act, Launch | Kill) and act.hang_up is not None:
            self._loop.call_later(act.hang_up, self._hang_up, asked)

    def of(self, life: Life) -> list["asyncio.Task[Any]"]:
        """The requests that a life has not answered yet."""
        return [a.task for a in self.pending if a.life is life and a.task is not None]

    def _hang_up(self, asked: Asked) -> None:
        assert asked.task is not None
        asked.hung_up = True
        asked.task.cancel()

    def _note_kill(self, asked: Asked) -> list[str]:
        """The launches that a kill is about."""
        registry, record = asked.life.core.registry, asked.life.record
        if isinstance(asked.act, Kill):
            jobs = registry.of(asked.act.identifier)
        elif isinstance(asked.act, KillAll):
            jobs = registry.jobs()
        else:
            return []
        if not asked.knew_jobs:
            record.early_kills.add(
                asked.act.identifier if isinstance(asked.act, Kill) else EVERYBODY
            )
        for job in jobs:
            record.kills.setdefault(job.launch_id, asked.at)
            if asked.knew_jobs and not job.exit_seen:
                asked_for = KillAsked(job.identifier, asked.at)
                record.kills_under_way.setdefault(job.launch_id, asked_for)
        return [job.launch_id for job in jobs]

    def _kills_since(self, asked: Asked) -> float:
        """Since when these launches are being killed: a kill joins one that is under way."""
        killed = {*asked.launches}
        return min((a.at for a in self.pending if killed & {*a.launches}), default=asked.at)

    def _answered(self, asked: Asked, task: "asyncio.Task[Any]") -> None:
        self.pending.remove(asked)
        answer, now = answer_of(task), self._loop.time()
        self._witness.say(f"answer {answer}: {asked.act}")
        self._witness.count(f"answer {answer}")
        if asked.life.dead:
            return
        self.longest_answer = max(self.longest_answer, now - asked.at)
        self._trouble.look(asked.life)
        self._witness.wrong += self._answers.wrong_with(asked, answer)
