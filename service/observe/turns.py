"""Lets watches send in turn: however many there are, only a few send at the same moment."""

import asyncio
from collections.abc import Callable
from itertools import islice

# A turn takes some 0.2 ms of the event loop, so watches hold up a launch by half a millisecond, and
# take a tenth of a processor. A thousand of them get their news within two seconds, one at once.
AT_ONCE = 2
PAUSE = 0.004  # seconds


class Turns:
    """Watches that have something to send wait in a line; idle ones wait for news.

    News begin a round, in which every idle watch gets a turn before the next round begins.
    """

    def __init__(self, begin_round: Callable[[], None]) -> None:
        self._begin_round = begin_round
        # Tables and not queues: a client that has gone leaves them at once.
        self._line: dict[asyncio.Future[None], None] = {}
        self._round: dict[asyncio.Future[None], None] = {}  # those in the line who came for news
        self._idle: dict[asyncio.Future[None], None] = {}
        self._news = False
        self._timer: asyncio.TimerHandle | None = None
        self.closed = False

    async def next(self, *, idle: bool) -> None:
        """Wait for the next turn of a watch; if it is idle, for news before that.

        Once it is closed, nobody waits.
        """
        if self.closed:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._idle if idle else self._line)[turn] = None
        self._schedule()
        try:
            await turn
        finally:
            self._forget(turn)

    def announce_news(self) -> None:
        """Give idle watches a turn, too, from the next round on."""
        self._news = True
        self._schedule()

    def close(self) -> None:
        """Give everybody a turn now, the last one."""
        self.closed = True
        for turn in [*self._line, *self._idle]:
            self._give(turn)

    def _schedule(self) -> None:
        if self._timer is None and (self._line or (self._news and self._idle)):
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._call)

    def _call(self) -> None:
        self._timer = None
        if self._news and not self._round:
            self._start_round()
        for turn in list(islice(self._line, AT_ONCE)):
            self._give(turn)
        self._schedule()

    def _start_round(self) -> None:
        self._news = False
        self._begin_round()
        self._round, self._idle = self._idle, {}
        self._line |= self._round

    def _give(self, turn: asyncio.Future[None]) -> None:
        self._forget(turn)
        if not turn.done():  # its client has just gone
            turn.set_result(None)

    def _forget(self, turn: asyncio.Future[None]) -> None:
        for those in (self._line, self._round, self._idle):
            those.pop(turn, None)
