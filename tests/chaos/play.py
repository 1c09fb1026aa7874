"""Rounds of turmoil, each followed by a quiet period in which everything has to come right."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import docker.errors
import requests

from service._generated.area_types_pb2 import Response
from tests.chaos import invariants
from tests.chaos.acts import STEADY, Acts
from tests.chaos.invariants import Sight
from tests.chaos.plan import Round, first_life, rounds
from tests.chaos.stage import Stage

# A lost event is made good by a comparison, every 30 s; a slow machine has as long again, and half.
_AGREEMENT_SECONDS = 75.0
_STEADY = (f"{STEADY}-1", f"{STEADY}-2")
_LATE = 5.0
_LOG_LINES = 40
# What the log says of what nobody had thought of.
_CRASHES = ("Traceback", 'crashed"', "never retrieved", "was destroyed but it is pending")
_OTHER_CHECKS = (
    "an answer that must not be",
    "two containers of a grouped identifier at a time",
    "a job ended that nobody has touched",
    "a killed identifier runs",
    "a crash in the log",
    "a job started again too often",
)


class Violation(Exception):
    """Something is not as it has to be. The message says how to see it again."""


@dataclass
class Report:
    """What was done, and what was seen."""

    seed: int
    seconds: float = 0.0
    rounds: int = 0
    lives: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    agreement: list[float] = field(default_factory=list)  # how long each quiet period took
    late: list[str] = field(default_factory=list)  # what took longer than an event takes
    violation: str = ""


class Play:
    """One seed's rounds on a stage."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.report = Report(seed)
        self._stage = stage
        self._acts = Acts(stage)
        self._steady: dict[str, str] = {}
        self.report.operations = self._acts.operations
        self.report.answers = self._acts.answers
        self.report.faults = self._acts.faults

    def run(self, *, duration: float, first_round: int = 0) -> Report:
        """Play rounds for so many seconds, the last one to its end. Raises `Violation`."""
        began = time.monotonic()
        self._stage.begin_life(first_life(self.report.seed))
        try:
            self._come_to_rest(-1)
            for plan in islice(rounds(self.report.seed), first_round, None):
                if time.monotonic() - began >= duration:
                    break
                self._round(plan)
        except Exception as error:
            self.report.violation = str(error)
            raise
        finally:
            self._acts.close()
            self.report.seconds = time.monotonic() - began
            self.report.lives = self._stage.lives
        return self.report

    def _round(self, plan: Round) -> None:
        self._stage.say(f"--- round {plan.number}, gentle: {plan.gentle}")
        self._stage.engine.live_restore(on=plan.live_restore)
        self._steady = self._launch_steady_ones() if plan.gentle else {}
        self._acts.play(plan)
        self._repair()
        sight = self._come_to_rest(plan.number)
        self._check_the_turmoil(plan.number, sight)
        self.report.rounds += 1
        self._stage.forget_logs()

    def _launch_steady_ones(self) -> dict[str, str]:
        for identifier in _STEADY:
            answer = self._stage.supervised.launch("timer", identifier)
            if answer != Response():
                raise Violation(f"at rest, a launch was answered {answer}")
        return invariants.steady_ids(invariants.look(self._stage))

    def _repair(self) -> None:
        """What a person would do: the Engine runs, and nothing is paused."""
        stage = self._stage
        stage.say("--- quiet")
        stage.engine.thaw()
        stage.engine.start()
        for item in stage.ours(all_of_them=False):
            if item["State"] == "paused":
                with stage.client() as client, suppress(docker.errors.APIError):
                    client.api.unpause(item["Id"])

    def _come_to_rest(self, number: int) -> Sight:
        """Wait until all invariants hold at once."""
        began = time.monotonic()
        late: list[str] = []
        while True:
            sight, wrong = self._look()
            seconds = time.monotonic() - began
            if sight is not None and not wrong:
                self._note_agreement(number, seconds, late)
                return sight
            if seconds > _AGREEMENT_SECONDS or not self._lives():
                self._complain(number, wrong)
            if seconds > _LATE:
                late = late or wrong
            time.sleep(0.2)

    def _look(self) -> tuple[Sight | None, list[str]]:
        """What there is to see, and what is wrong with it."""
        try:
            sight = invariants.look(self._stage)
        except (*invariants.UNANSWERED, requests.RequestException) as error:
            return None, [f"somebody does not answer: {error!r}"]
        return sight, invariants.wrong_with(sight)

    def _note_agreement(self, number: int, seconds: float, late: list[str]) -> None:
        self.report.checked.update(invariants.CHECKS.keys())
        self.report.agreement.append(seconds)
        if late:
            self.report.late.append(f"round {number}, {seconds:.0f} s: {'; '.join(late)}")

    def _lives(self) -> bool:
        process = self._stage.supervised.process
        return process is not None and process.poll() is None

    def _check_the_turmoil(self, number: int, sight: Sight) -> None:
        """What was not allowed to happen even while everything broke."""
        witness = self._stage.witness
        with witness.lock:
            wrong = list(witness.ledger.twins(self._stage.touched))
            witness.ledger.forget()
        if self._steady and self._steady != (now := invariants.steady_ids(sight)):
            wrong.append(f"nobody has touched {self._steady}, and now there is {now}")
        wrong += self._runs_after_its_kill(sight)
        for lines in self._stage.logs().values():
            wrong += [line for line in lines if any(sign in line for sign in _CRASHES)]
            wrong += invariants.restarted_too_often(lines)
        self.report.checked.update(_OTHER_CHECKS)
        if wrong or self._acts.wrong:
            self._complain(number, wrong)

    def _runs_after_its_kill(self, sight: Sight) -> Iterator[str]:
        """Containers of identifiers that were killed, if no third party has started them."""
        for identifier, container_id in sight.live_ids:
            if identifier in self._acts.killed and container_id not in self._stage.touched:
                yield f"{identifier} was killed, and {container_id[:12]} runs"

    def _complain(self, number: int, wrong: list[str]) -> None:
        logs = [
            "\n".join([f"{path}:", *lines[-_LOG_LINES:]])
            for path, lines in self._stage.logs().items()
        ]
        said = "\n".join(self._stage.said)
        told = "\n".join(self._acts.wrong + wrong)
        raise Violation(
            f"Round {number} of SEED={self.report.seed}, again from its beginning with"
            f" SEED={self.report.seed} ROUND={max(number, 0)} make chaos:\n{told}\n\n{said}\n\n"
            + "\n\n".join(logs)
        )
