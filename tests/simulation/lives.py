"""The lives of the supervisor: starts, stops, crashes and rivals."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from service.engine.workloads import Status
from service.jobs.labels import SERVES_LABEL
from tests.fake_engine.host import Container
from tests.simulation.engine import INSTANCE, SimulatedEngine
from tests.simulation.facts import Facts
from tests.simulation.hands import Hands
from tests.simulation.life import Life
from tests.simulation.steps import Restart, Rival
from tests.simulation.trouble import Trouble
from tests.simulation.virtual import VirtualLoop
from tests.simulation.witness import Witness

Hear = Callable[[Life, str, Mapping[str, Any]], None]
# When what has found a rival is started again, and how long ago that may have gone (seconds).
_AGAIN, _JUST_GONE = 1.0, 1.0


class Lives:
    """One life after the other. `spawn` runs a task beside the steps."""

    def __init__(
        self,
        loop: VirtualLoop,
        engine: SimulatedEngine,
        hands: Hands,
        *,
        facts: Facts,
        trouble: Trouble,
        witness: Witness,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        hear: Hear,
        development: bool,
    ) -> None:
        self.life: Life | None = None
        self.development = development
        self._loop = loop
        self._engine = engine
        self._hands = hands
        self._facts = facts
        self._trouble = trouble
        self._witness = witness
        self._spawn = spawn
        self._hear = hear
        self._rival: Container | None = None
        self._rival_ran_at = 0.0
        self._starts_again = False

    def begin(self, *, adopt: bool, tight: bool) -> None:
        """Begin one."""
        life = self.life = Life(
            self._loop,
            self._engine,
            self._hear,
            development=self.development,
            adopt=adopt,
            tight=tight,
        )
        life.rival = self._live_rival()
        life.watching.add_done_callback(lambda _: self._ended(life))

    async def restart(
        self, act: Restart, requests: Callable[[Life], Sequence["asyncio.Task[Any]"]]
    ) -> None:
        """End this life, and begin another one. `requests` are those under way."""
        life = self.life
        if life is None or self._starts_again:
            return
        self._starts_again = True
        self._trouble.lasts(act.seconds)
        if act.graceful:
            await life.stop(requests(life))
        else:
            await life.crash()
            if self.development:
                self._facts.note_crash_in_development()
        self.life = None
        await asyncio.sleep(act.seconds)
        if act.changes_mode:
            self.development = not self.development
            self._facts.note_change_of_mode()
        self._go_on(adopt=act.adopt, tight=act.tight)

    async def have_rival(self, act: Rival) -> None:
        """Another supervisor of this instance runs for a while, in a container that says so."""
        if self._rival is not None:
            return
        self._rival = self._hands.put("rival", {SERVES_LABEL: INSTANCE})
        await asyncio.sleep(act.seconds)
        self._live_rival()
        await self._hands.remove(self._rival.id)
        self._rival = None

    def should_be_refused(self, life: Life) -> bool:
        """Whether a rival has run since before a life began, and no fault has kept it unseen."""
        rival = life.rival
        seen = not self._trouble_since(life.began)
        return rival is not None and rival.status is Status.LIVE and seen

    def _trouble_since(self, moment: float) -> bool:
        """Whether a fault has struck since then, which may keep a rival unseen at first."""
        return self._trouble.struck_at >= moment

    def _live_rival(self) -> Container | None:
        if self._rival is None or self._rival.status is not Status.LIVE:
            return None
        self._rival_ran_at = self._loop.time()
        return self._rival

    def _ended(self, life: Life) -> None:
        """A start that has found a rival ends the process, which is started again."""
        if life.dead or not life.refused:
            return
        if not self._may_have_seen_a_rival():
            self._witness.wrong.append("a start that was refused: there is no rival")
        if life.changed and not self._trouble_since(life.began):
            self._witness.wrong.append(f"a start that was refused, after {life.changed}")
        if not self._starts_again:
            self._starts_again = True
            self._spawn(self._start_again(life))

    def _may_have_seen_a_rival(self) -> bool:
        """Whether one runs, or ran not long ago: an inspect may be answered late."""
        if self._live_rival() is not None:
            return True
        late = self._trouble.was_since(self._rival_ran_at)
        return late or self._loop.time() <= self._rival_ran_at + _JUST_GONE

    async def _start_again(self, life: Life) -> None:
        self._trouble.lasts(_AGAIN)
        await life.crash()
        self.life = None
        await asyncio.sleep(_AGAIN)
        self._go_on(adopt=life.adopt, tight=life.tight)

    def _go_on(self, *, adopt: bool, tight: bool) -> None:
        self.begin(adopt=adopt, tight=tight)
        self._trouble.lasts(0.0)
        self._starts_again = False
