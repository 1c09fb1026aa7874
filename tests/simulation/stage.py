"""The stage of an episode: the Engine, the supervisor, and their neighbours."""

import asyncio
import math
import random
from collections.abc import Coroutine, Mapping
from typing import Any

from service.engine.docker.names import DOCKER_NAMES
from service.errors import SupervisorError
from service.jobs.labels import INSTANCE_LABEL
from service.jobs.workload_names import base_name
from tests.simulation.answers import Answers
from tests.simulation.clients import Clients
from tests.simulation.ends import Ends
from tests.simulation.engine import INSTANCE, SimulatedEngine, error_of
from tests.simulation.excuses import Excuses
from tests.simulation.facts import Facts
from tests.simulation.hands import Hands, is_there
from tests.simulation.life import Life
from tests.simulation.listener import Listener
from tests.simulation.lives import Lives
from tests.simulation.probes import Probes
from tests.simulation.restarting import Restarting
from tests.simulation.steps import (
    Act,
    Away,
    Cordon,
    Episode,
    Fault,
    Forget,
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
    Rival,
    Slow,
    Stranger,
    Stuck,
    Unpublished,
    Unrunnable,
)
from tests.simulation.trouble import COMPARED, PUT_RIGHT, Trouble
from tests.simulation.virtual import VirtualLoop
from tests.simulation.witness import Witness

# So many containers may be stuck at once.
_STUCK = 2
_NEIGHBOURS = {"stranger": {"app": "somebody's"}, "another": {INSTANCE_LABEL: "another"}}


class Stage:
    """Carries out acts. The witness collects what goes wrong."""

    def __init__(self, loop: VirtualLoop, episode: Episode) -> None:
        self.loop = loop
        self.work: dict[asyncio.Task[None], None] = {}
        self.witness = Witness(loop.time)
        self.engine = SimulatedEngine(random.Random(f"{episode.seed}/engine"))
        self.trouble = Trouble(loop)
        self.facts = Facts(self.engine.host, loop.time, self.witness, self.trouble)
        self.hands = Hands(self.engine, self.facts, loop)
        self.neighbours = {
            name: self.hands.put(name, labels) for name, labels in _NEIGHBOURS.items()
        }
        Probes(self.engine.host, loop, random.Random(f"{episode.seed}/probes"))
        self._excuses = excuses = Excuses(self.facts)
        restarting = Restarting(self.facts, self.trouble, excuses)
        ends = Ends(self.facts, self.engine, self.trouble, restarting)
        self._listener = Listener(self.facts, ends, restarting)
        self.clients = Clients(
            loop,
            self.witness,
            answers=Answers(self.facts, self.trouble, excuses),
            trouble=self.trouble,
            excuses=excuses,
        )
        self.lives = Lives(
            loop,
            self.engine,
            self.hands,
            facts=self.facts,
            trouble=self.trouble,
            witness=self.witness,
            spawn=self._begin,
            hear=self._hear,
            development=episode.development,
        )
        self._away = False
        self._tell_trouble()
        loop.set_exception_handler(self._complain)
        self.lives.begin(adopt=episode.adopt, tight=False)

    @property
    def life(self) -> Life | None:
        """The life of the supervisor, if it runs."""
        return self.lives.life

    def do(self, act: Act) -> None:
        """Carry out an act, or begin it."""
        self.witness.say(f"-- {act}")
        self.witness.count(f"{type(act).__name__} {getattr(act, 'what', '')}".strip())
        match act:
            case Launch() | Mistake() | Kill() | KillAll() | ListAll():
                self.clients.ask(act, self.life)
            case Fault() | Slow() | News() | Odd() | Forget():
                self._break(act)
            case Quiet():
                self.engine.repair()
            case Cordon() | Hand() | Stranger() | Stuck():
                self._begin(self._course_of(act))
            case Unrunnable() | Unpublished() | Away() | Restart() | Rival():
                self._begin(self._course_of(act))

    def _course_of(  # noqa: PLR0911 - a case, a return
        self,
        act: Cordon | Hand | Stranger | Stuck | Unrunnable | Unpublished | Away | Restart | Rival,
    ) -> Coroutine[Any, Any, None]:
        """The part of an act that goes on beside later steps."""
        match act:
            case Cordon():
                return self._cordon(act)
            case Hand():
                return self.hands.touch(act)
            case Stranger():
                return self._visit(act)
            case Stuck():
                return self._get_stuck(act)
            case Unrunnable():
                return self._run_nothing(act)
            case Unpublished():
                return self._withdraw_images(act)
            case Away():
                return self._go_away(act)
            case Restart():
                return self.lives.restart(act, self.clients.of)
            case Rival():
                return self.lives.have_rival(act)

    async def end(self) -> None:
        """Stop the supervisor, as SIGTERM does."""
        if self.life is not None:
            await self.life.stop(self.clients.of(self.life))

    async def _cordon(self, act: Cordon) -> None:
        if (life := self.life) is None or life.dead:
            return
        life.cordon()
        await asyncio.sleep(act.seconds)
        life.uncordon()

    # What breaks

    def _tell_trouble(self) -> None:
        """A fault is trouble once it strikes, not while it waits for a call."""
        self.engine.faults.on_strike = self.trouble.strikes
        self.engine.on_trouble = self.trouble.upsets
        self.engine.on_loss = lambda: self.trouble.lasts(COMPARED)

    def _break(self, act: Fault | Slow | News | Odd | Forget) -> None:
        match act:
            case Fault(operation, failure, after, times):
                error = error_of(failure)
                self.engine.faults.fail(operation, error, after=after, times=times)
            case Slow(operation, seconds, after):
                self.engine.faults.delay(operation, seconds, after=after)
            case News(what, seconds):
                self.engine.trouble_news(what, seconds)
            case Odd(seconds):
                self.engine.answer_oddly(seconds)
            case Forget(image):
                self._excuses.note_forgotten(self.loop.time())
                self.engine.host.images.discard(image)

    async def _get_stuck(self, act: Stuck) -> None:
        """It excuses only this container's identifier."""
        fact = self.hands.choose(act.choice, is_there)
        if fact is None or len(self.engine.stuck) >= _STUCK:
            return
        self.trouble.lasts(act.seconds + PUT_RIGHT, fact.identifier)
        await self.hands.get_stuck(fact.id, act.seconds)

    async def _run_nothing(self, act: Unrunnable) -> None:
        self._excuses.note_unrunnable(self.loop.time() + act.seconds)
        self.engine.run_nothing(act)
        await asyncio.sleep(act.seconds)
        self.engine.run_again()

    async def _withdraw_images(self, act: Unpublished) -> None:
        self._excuses.note_unpublished(self.loop.time() + act.seconds)
        self.engine.host.registry.clear()
        await asyncio.sleep(act.seconds)
        self.engine.publish()

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
        """A container of a stranger takes a name if that is free, and goes again."""
        try:
            container = self.hands.put(base_name(act.identifier, INSTANCE, DOCKER_NAMES), {})
        except SupervisorError:
            return
        self._excuses.note_stranger(act.identifier, math.inf)
        await asyncio.sleep(act.seconds)
        await self.hands.remove(container.id)
        self._excuses.note_stranger(act.identifier, self.loop.time())

    # The rest

    def _hear(self, life: Life, event: str, told: Mapping[str, Any]) -> None:
        self.witness.say(f"log: {event} {told}")
        self.witness.wrong += self._listener.wrong_with(life, event, told, self.loop.time())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work, name="hand")
        self.work[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.work.pop(task)
        if not task.cancelled() and (error := task.exception()):
            self.witness.wrong.append(f"a fault of the simulation: {error!r}")

    def _complain(self, _: object, context: dict[str, Any]) -> None:
        """Report exceptions that were not handled."""
        task = context.get("task") or context.get("future")
        owner = getattr(task, "owner", None)
        if not (isinstance(owner, Life) and owner.dead):
            self.witness.wrong.append(f"an unhandled exception: {context}")
