"""Where an episode takes place: the Engine, the supervisor of the day, and their neighbours."""

import asyncio
import random
from collections.abc import Coroutine, Mapping
from typing import Any

from service.engine.base import WorkloadSpec
from service.engine.fake_host import Container
from service.errors import SupervisorError
from service.workload import INSTANCE_LABEL, base_name
from tests.simulation.answers import Answers
from tests.simulation.clients import Clients
from tests.simulation.engine import IMAGE, INSTANCE, SimulatedEngine, error_of
from tests.simulation.facts import Facts
from tests.simulation.hands import Hands
from tests.simulation.life import Life
from tests.simulation.listener import Listener
from tests.simulation.steps import (
    Act,
    Away,
    Episode,
    Fault,
    Hand,
    Kill,
    KillAll,
    Launch,
    ListAll,
    Mistake,
    News,
    Odd,
    Quiet,
    Restart,
    Slow,
    Stranger,
)
from tests.simulation.trouble import Trouble
from tests.simulation.virtual import VirtualLoop
from tests.simulation.witness import Witness

# A call that takes so much longer is no trouble (seconds).
_A_MOMENT = 0.5
# What an event that got lost would have told is found within this time (seconds).
_COMPARED = 32.0
_NEIGHBOURS = {"stranger": {"app": "somebody's"}, "another": {INSTANCE_LABEL: "another"}}


class Stage:
    """Carries out acts. What goes wrong meanwhile gathers with the witness."""

    def __init__(self, loop: VirtualLoop, episode: Episode) -> None:
        self.loop = loop
        self.development = episode.development
        self.witness = Witness(loop.time)
        self.engine = SimulatedEngine(random.Random(f"{episode.seed}/engine"))
        self.facts = Facts(self.engine.host, loop.time, self.witness)
        self.trouble = Trouble(loop, self.engine.faults)
        self.hands = Hands(self.engine, self.facts, loop)
        self.neighbours = self._settle_neighbours()
        self.life: Life | None = None
        self.work: dict[asyncio.Task[None], None] = {}
        self._answers = Answers(self.facts)
        self._listener = Listener(self.facts, self.engine)
        self.clients = Clients(loop, self.witness, self._answers, self._listener, self.trouble)
        self._restarting = self._away = False
        loop.set_exception_handler(self._complain)
        self._begin_life(adopt=episode.adopt, tight=False)

    def do(self, act: Act) -> None:
        """Carry out an act, or begin it."""
        self.witness.say(f"-- {act}")
        self.witness.count(f"{type(act).__name__} {getattr(act, 'what', '')}".strip())
        match act:
            case Launch() | Mistake() | Kill() | KillAll() | ListAll():
                self.clients.ask(act, self.life)
            case Hand():
                self._begin(self.hands.touch(act))
            case Stranger():
                self._begin(self._visit(act))
            case Away():
                self._begin(self._go_away(act))
            case Restart():
                self._begin(self._restart(act))
            case Fault() | Slow() | News() | Odd():
                self._break(act)
            case Quiet():
                self.engine.repair()

    async def end(self) -> None:
        """End the life of the day, as a signal does."""
        if self.life is not None:
            await self.life.stop(self.clients.of(self.life))

    # What breaks

    def _break(self, act: Fault | Slow | News | Odd) -> None:
        match act:
            case Fault(operation, failure, after, times):
                error = error_of(failure)
                self.engine.faults.fail(operation, error, after=after, times=times)
                self.trouble.waits()
            case Slow(operation, seconds, after):
                self.engine.faults.delay(operation, seconds, after=after)
                if seconds > _A_MOMENT:
                    self.trouble.waits()
                    self.trouble.lasts(seconds)
            case News(what, seconds):
                self.engine.trouble_news(what, seconds)
                self.trouble.lasts(seconds + (_COMPARED if what == "lost" else 0.0))
            case Odd(seconds):
                self.engine.answer_oddly(seconds)
                self.trouble.lasts(seconds)
        self.trouble.look(self.life)

    async def _go_away(self, act: Away) -> None:
        if self._away:
            return
        self._away = True
        self.trouble.lasts(act.seconds)
        await self.hands.take_engine_away(act)
        self._away = False
        for container in self.neighbours.values():
            self.hands.keep_alive(container)

    async def _visit(self, act: Stranger) -> None:
        """A container of somebody else's takes a name, if that is free, and goes again."""
        self._answers.note_stranger(act.identifier)
        name = base_name(act.identifier, INSTANCE)
        try:
            container = self.hands.put(WorkloadSpec(name=name, image=IMAGE, arguments=()))
        except SupervisorError:
            return
        await asyncio.sleep(act.seconds)
        await self.hands.remove(container.id)

    # The supervisor

    async def _restart(self, act: Restart) -> None:
        life = self.life
        if life is None or self._restarting:
            return
        self._restarting = True
        self.trouble.lasts(act.seconds)
        if act.graceful:
            await life.stop(self.clients.of(life))
        else:
            await life.crash()
        self.life = None
        await asyncio.sleep(act.seconds)
        self._begin_life(adopt=act.adopt, tight=act.tight)
        self.trouble.lasts(0.0)
        self._restarting = False

    def _begin_life(self, *, adopt: bool, tight: bool) -> None:
        development = self.development
        self.life = Life(
            self.loop, self.engine, self._hear, development=development, adopt=adopt, tight=tight
        )

    def _hear(self, life: Life, event: str, told: Mapping[str, Any]) -> None:
        self.witness.say(f"log: {event} {told}")
        calm = self.trouble.calm
        self.witness.wrong += self._listener.wrong_with(
            life, event, told, now=self.loop.time(), calm=calm
        )

    # The rest

    def _settle_neighbours(self) -> dict[str, Container]:
        specs = [
            WorkloadSpec(name=name, image=IMAGE, arguments=(), labels=labels)
            for name, labels in _NEIGHBOURS.items()
        ]
        return {spec.name: self.hands.put(spec) for spec in specs}

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work, name="hand")
        self.work[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.work.pop(task)
        if not task.cancelled() and (error := task.exception()):
            self.witness.wrong.append(f"a fault of the simulation: {error!r}")

    def _complain(self, _: object, context: dict[str, Any]) -> None:
        """What the event loop tells of exceptions that nobody has handled."""
        task = context.get("task") or context.get("future")
        owner = getattr(task, "owner", None)
        if not (isinstance(owner, Life) and owner.dead):
            self.witness.wrong.append(f"an unhandled exception: {context}")
