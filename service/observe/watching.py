"""Watches: the live jobs, then every change, for clients that come and go.

A watch has only its place in the journal, and no queue: a client that does not read costs as little
as one that has all news, and is ended once the journal does not reach back to its place.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Literal, NamedTuple

from observability.callers import caller
from observability.escaping import shown
from observability.logs import get_logger
from observability.metrics import Metrics
from service.errors import Draining, EngineUnavailable, InvalidRequest, TooSlow
from service.jobs.model import Job
from service.observe.batches import Batches, Encode, Selection, take
from service.observe.turns import Turns
from service.state.changes import Journal
from service.state.readiness import Readiness
from service.state.registry import Registry

log = get_logger(__name__)

# A watch whose selection leaves everything out gets a new token after so many changes.
_TOKEN_AFTER = 1000

_NO_PLACE = 0
_TOKEN = re.compile(r"([0-9a-f]{16})\.([0-9]{1,18})\.([0-9a-f]{16})", re.ASCII)


class Message(NamedTuple):
    """A message of a watch; the jobs are encoded."""

    kind: Literal["snapshot", "changes", "gap"]
    token: str
    jobs: Sequence[bytes] = ()
    complete: bool = False


class Watching:
    """The open watches of this process."""

    def __init__(
        self, journal: Journal, registry: Registry, readiness: Readiness, metrics: Metrics
    ) -> None:
        self._journal, self._readiness, self._metrics = journal, readiness, metrics
        self._batches = Batches(journal, registry)
        self._turns = Turns(self._batches.begin)
        journal.subscribe(self._turns.announce_news)

    async def watch(
        self, selection: Selection, token: str, encode: Encode
    ) -> AsyncGenerator[Message, None]:
        """The messages for a client: after one whose token it has, or from the beginning.

        Raises `InvalidRequest`, `TooSlow`, `Draining` once it is closed, and `EngineUnavailable`
        before the first listing.
        """
        if not self._readiness.listed:
            raise EngineUnavailable(self._readiness.reason)
        watch = Watch(self._journal, self._batches, selection, encode)
        watch.resume(token)
        with self._metrics.watches_open.track_inprogress():
            while True:
                await self._turns.next(idle=watch.idle)
                if self._turns.closed:
                    raise Draining("the supervisor is stopping; come back with the resume_token")
                if message := self._next(watch):
                    yield message

    def close(self) -> None:
        """End the watches."""
        self._turns.close()

    def _next(self, watch: "Watch") -> Message | None:
        try:
            return watch.next()
        except TooSlow:
            self._metrics.watches_too_slow.inc()
            log.info("watch.too_slow", **caller().fields)
            raise


class Watch:
    """One client's place: what it has got, and which message is next."""

    def __init__(
        self, journal: Journal, batches: Batches, selection: Selection, encode: Encode
    ) -> None:
        self._journal, self._batches = journal, batches
        self._selection, self._encode = selection, encode
        self._gap = False
        self._in_snapshot = True
        self._snapshot: Iterator[Job] | None = None  # what is left of it, once it has begun
        self._left = 0
        self._place = _NO_PLACE
        self._token_place = _NO_PLACE  # of the last token that the client has

    def resume(self, token: str) -> None:
        """Go on after the message with a token. If that is impossible, there is a gap."""
        if not token:
            return
        epoch, place, key = _read(token)
        if epoch == self._journal.epoch and place > self._journal.last:
            raise _not_a_token(token)
        same = (epoch, key) == (self._journal.epoch, self._selection.key)
        if same and self._journal.reaches_back_to(place):
            self._in_snapshot = False
            self._place = self._token_place = place
        else:
            self._gap = True

    @property
    def idle(self) -> bool:
        """Whether there is no message for the client at this moment."""
        return not self._gap and not self._in_snapshot and self._place >= self._batches.end

    def next(self) -> Message | None:
        """The next message; None if there is none yet. Raises `TooSlow`."""
        if self._gap:
            self._gap = False
            return Message("gap", self._token(_NO_PLACE))
        if self._in_snapshot and self._snapshot is None:
            self._snapshot = self._begin_snapshot()
        if not self._journal.reaches_back_to(self._place):
            raise TooSlow
        return self._more_of(self._snapshot) if self._snapshot else self._more_changes()

    def _begin_snapshot(self) -> Iterator[Job]:
        self._place, jobs = self._batches.live()
        self._left = len(jobs)
        return iter(jobs)

    def _more_of(self, snapshot: Iterator[Job]) -> Message | None:
        jobs, looked_at = take(snapshot, self._selection, self._encode)
        self._left -= looked_at
        if self._left:
            return Message("snapshot", self._token(_NO_PLACE), jobs) if jobs else None
        self._in_snapshot, self._snapshot, self._token_place = False, None, self._place
        return Message("snapshot", self._token(self._place), jobs, complete=True)

    def _more_changes(self) -> Message | None:
        jobs, looked_at = self._batches.after(self._place, self._selection, self._encode)
        self._place += looked_at
        if not jobs and self._place - self._token_place < _TOKEN_AFTER:
            return None
        self._token_place = self._place
        return Message("changes", self._token(self._place), jobs)

    def _token(self, place: int) -> str:
        return f"{self._journal.epoch}.{place}.{self._selection.key}"


def _read(token: str) -> tuple[str, int, str]:
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise _not_a_token(token)
    epoch, place, key = found.groups()
    return epoch, int(place), key


def _not_a_token(token: str) -> InvalidRequest:
    return InvalidRequest(
        f"resume_token: {shown(token)} is no token; allowed is one of an earlier message, or none"
    )
