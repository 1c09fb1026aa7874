"""Stops containers. Any number of stops may wait; a few at a time are with the Engine."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import cast

import docker

from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client
from service.engine.docker.exit_waiters import ExitWaiters
from service.engine.workloads import Exit

_ID = "container.id"
# The time limit of a short call (seconds).
_SHORT = 10.0
# How long a stop occupies its thread: twice as long as exits take at the moment, within these
# limits (seconds). So about as many stops are under way as there are threads, and containers that
# ignore SIGTERM do not delay others for long.
_SHORTEST_TURN, _LONGEST_TURN = 0.5, 5.0
# How long exits take: the initial value (seconds), and the weight of a faster exit. A slower one
# replaces the value at once: with an average, hundreds of stops would already be under way before
# it showed that the Engine is busy.
_EXIT_TIME, _WEIGHT = 0.5, 0.1
_SIGKILLED = 137
# The most that an event may lag behind the answer to a stop, and the SIGKILL behind the end of the
# grace (seconds).
_EVENT_DELAY, _KILL_DELAY = 3.0, 2.0
# How often to poll for an exit without an event: at first, and in the end (seconds).
_POLL, _LONGEST_POLL = 0.05, 1.0


@dataclass(frozen=True, slots=True)
class _Request:
    """A stop that the Engine has received."""

    sent: float  # when the grace begins (`monotonic`)
    status: int | None  # of the answer, if it came within the turn
    has_grace: bool  # whether the Engine knows the grace, and sends SIGKILL after it


class Stops:
    """Stops containers without occupying a thread for the whole grace.

    After a disconnect, the Engine keeps the grace by itself, and the event stream reports the exit.
    For an Engine that does not, the grace is kept here (`Client.keeps_grace`).
    """

    def __init__(
        self, calls: Calls, exits: ExitWaiters, is_live: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._calls = calls
        self._exits = exits
        self._is_live = is_live
        self._exit_time = _EXIT_TIME  # seconds from a stop to the exit
        self._under_way = 0
        self._progress = 0.0  # when the last container exited, or the first stop began (monotonic)

    async def stop(self, container_id: str, grace: float) -> Exit | None:
        if not self._under_way:
            self._progress = monotonic()
        self._under_way += 1
        try:
            return await self._stop(container_id, grace)
        finally:
            self._under_way -= 1

    async def _stop(self, container_id: str, grace: float) -> Exit | None:
        with self._exits.expect_exit(container_id) as exit_event:
            request = await self._request(container_id, math.ceil(grace))
            if request.status == HTTPStatus.NOT_MODIFIED:  # it did not run
                return None
            has_exited = request.status is not None
            delay = self._delay if request.has_grace else 0.0
            left = _EVENT_DELAY if has_exited else request.sent + grace + delay - monotonic()
            exited: Exit | None = None
            try:
                async with asyncio.timeout(left):
                    exited = await exit_event
                    if not (exited or has_exited):
                        await self._poll_for_exit(container_id)
            except TimeoutError:
                if not has_exited:
                    await self._kill(container_id)
            self._note_exit(exited, request.sent)
            return exited

    @property
    def _delay(self) -> float:
        """How long to wait beyond the grace. A busy Engine is slow to send SIGKILL, too."""
        return _KILL_DELAY + self._turn

    @property
    def _turn(self) -> float:
        """How long a stop occupies its thread.

        While no container exits, the Engine may be busy, so each stop takes longer than the one
        before: otherwise hundreds would be under way before the first exit shows how long it takes.
        """
        exit_time = max(self._exit_time, monotonic() - self._progress)
        return min(max(_SHORTEST_TURN, 2 * exit_time), _LONGEST_TURN)

    async def _request(self, container_id: str, grace: int) -> _Request:
        def request(api: docker.APIClient) -> _Request:
            client, began = cast("Client", api), monotonic()
            if not client.keeps_grace and not client.terminate(container_id):
                return _Request(began, HTTPStatus.NOT_MODIFIED, has_grace=False)
            sent = monotonic()
            left = max(_SHORTEST_TURN, began + self._turn - sent)
            status = client.ask_to_stop(container_id, grace, within=left)
            return _Request(sent, status, client.keeps_grace)

        stop = Call("stop", request, {_ID: container_id})
        return await self._calls.call(stop, timeout=_SHORT)

    def _note_exit(self, exited: Exit | None, sent: float) -> None:
        """Note an exit, and how long it took unless the container ignored SIGTERM."""
        if exited is None:
            return
        self._progress = monotonic()
        if exited.code != _SIGKILLED:
            took = self._progress - sent
            self._exit_time = max(took, self._exit_time + _WEIGHT * (took - self._exit_time))

    async def _kill(self, container_id: str) -> None:
        """Kill it: the Engine may not have received the stop."""
        kill = Call("kill", lambda c: c.stop(container_id, timeout=0), {_ID: container_id})
        await self._calls.call(kill, timeout=_SHORT)

    async def _poll_for_exit(self, container_id: str) -> None:
        pause = _POLL
        while await self._is_live(container_id):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL)
