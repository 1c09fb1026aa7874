"""Stopping containers, any number at once, of which only a few are on their way out."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import cast

import docker

from service.engine.base import Exit
from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client
from service.engine.docker.exit_waiters import Exits

_ID = "container.id"
# What a short call may take (seconds).
_SHORT = 10.0
# How long a stop keeps its thread (seconds): twice as long as an exit takes at the moment, within
# these limits. So there are about as many stops under way as threads, and containers that ignore
# SIGTERM do not delay others for long.
_SHORTEST_TURN, _LONGEST_TURN = 0.5, 5.0
# What is taken for usual at first, and the share of a quicker exit in it. A slower one is usual at
# once: hundreds would be on their way out before an average told that the Engine is busy.
_USUAL, _SHARE = 0.5, 0.1
_SIGKILLED = 137
# What an event may take to get here after the answer that it goes with, and the Engine to send
# SIGKILL after the grace (seconds).
_EVENT_DELAY, _KILL_DELAY = 3.0, 2.0
# How often an exit is looked for that no event will tell of: at first, and in the end (seconds).
_LOOK, _LAST_LOOK = 0.05, 1.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """The Engine, for a stop."""

    at: float  # `monotonic`
    answer: int | None  # its status, if it came within the turn
    of_the_grace: bool  # whether the Engine was told of it, and sends SIGKILL


class Stops:
    """Asks for a stop, and does not hold a thread, and a place, for the whole grace.

    The Engine keeps the grace by itself, whoever hangs up meanwhile, and the event stream tells of
    the exit. Where the Engine would not, the grace is kept here (`Client.keeps_grace`).
    """

    def __init__(
        self, calls: Calls, exits: Exits, is_live: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._calls = calls
        self._exits = exits
        self._is_live = is_live
        self._usual = _USUAL  # seconds from a stop to the exit
        self._under_way = 0
        self._progress = 0.0  # when a container exited last, or the first stop began (`monotonic`)

    async def stop(self, container_id: str, grace: float) -> Exit | None:
        """See `Engine.stop`."""
        if not self._under_way:
            self._progress = monotonic()
        self._under_way += 1
        try:
            return await self._stop(container_id, grace)
        finally:
            self._under_way -= 1

    async def _stop(self, container_id: str, grace: float) -> Exit | None:
        with self._exits.awaited(container_id) as told:
            asked = await self._ask(container_id, math.ceil(grace))
            if asked.answer == HTTPStatus.NOT_MODIFIED:  # it did not run
                return None
            has_exited = asked.answer is not None
            delay = self._delay if asked.of_the_grace else 0.0
            left = _EVENT_DELAY if has_exited else asked.at + grace + delay - monotonic()
            exited: Exit | None = None
            try:
                async with asyncio.timeout(left):
                    exited = await told
                    if not (exited or has_exited):
                        await self._look_for_exit(container_id)
            except TimeoutError:
                if not has_exited:
                    await self._kill(container_id)
            self._learn(exited, asked.at)
            return exited

    @property
    def _delay(self) -> float:
        """What the Engine may take beyond the grace. A busy one is slow with the SIGKILL, too."""
        return _KILL_DELAY + self._turn

    @property
    def _turn(self) -> float:
        """How long a stop keeps its thread.

        While no container exits, the Engine may be busy: each stop then waits longer than the one
        before, or hundreds would be under way until the first exit says how long one takes.
        """
        takes = max(self._usual, monotonic() - self._progress)
        return min(max(_SHORTEST_TURN, 2 * takes), _LONGEST_TURN)

    async def _ask(self, container_id: str, grace: int) -> _Asked:
        """Ask for a stop."""

        def ask(api: docker.APIClient) -> _Asked:
            client = cast("Client", api)
            sent = monotonic()
            answer = client.ask_to_stop(container_id, grace, within=self._turn)
            return _Asked(sent, answer, client.keeps_grace)

        stop = Call("stop", ask, {_ID: container_id})
        return await self._calls.call(stop, timeout=_SHORT)

    def _learn(self, exited: Exit | None, sent: float) -> None:
        """Note that a container has exited, and how long that took unless it ignored SIGTERM."""
        if exited is None:
            return
        self._progress = monotonic()
        if exited.code != _SIGKILLED:
            took = self._progress - sent
            self._usual = max(took, self._usual + _SHARE * (took - self._usual))

    async def _kill(self, container_id: str) -> None:
        """See to it that it has exited: the Engine may not have heard of the stop."""
        kill = Call("kill", lambda c: c.stop(container_id, timeout=0), {_ID: container_id})
        await self._calls.call(kill, timeout=_SHORT)

    async def _look_for_exit(self, container_id: str) -> None:
        wait = _LOOK
        while await self._is_live(container_id):
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LAST_LOOK)
