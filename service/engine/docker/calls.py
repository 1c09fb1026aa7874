"""Calls to the Engine: in bounded threads, each timed, traced, counted, and ended by its limit.

docker-py blocks and is not promised to be thread-safe, so every call runs in one of a bounded
number of threads, each with a client of its own. There are no more than the Engine can take at
once: with more, each call only takes longer, until it is out of time.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, perf_counter, time
from typing import Any, Generic, TypeVar

from observability.metrics import Metrics
from observability.redaction.redactor import Redactor
from observability.spans import end_span, fail_span, has_waited, start_client_span
from service.engine.base import EngineCall
from service.engine.docker.client import Client
from service.engine.docker.connection import Clients
from service.engine.docker.errors import KEEP_NOTHING, mapped, too_long
from service.engine.docker.shutdown_check import judged
from service.engine.docker.threads import Threads
from service.errors import (
    EngineError,
    EngineFaltered,
    EngineTimeout,
    EngineUnavailable,
    NoSuchWorkload,
)

T = TypeVar("T")

# What there may be hundreds of at once. On two cores an Engine is no faster with more of them.
_BULK = frozenset({"stop", "kill", "remove", "inspect", "logs"})
BULK_THREADS = 20
# How long an Engine has answered nobody when what waits for a thread is given up (seconds): a call
# may have less time than that, and says nothing about the others.
_SILENCE = 10.0
# Beside the launches: a comparison, an event stream, what looks for a launch that was given up.
MORE_THREADS = 4


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """What the Engine is asked.

    `about` goes on the span (OpenTelemetry's `container.*` attributes); its first value says in
    errors what the call was about.
    """

    operation: EngineCall
    function: Callable[[Client], T]
    about: Mapping[str, str] = field(default_factory=dict)
    redact: Redactor = KEEP_NOTHING

    @property
    def target(self) -> str:
        """What it is about."""
        return (*self.about.values(), "")[0]


Then = Callable[[T], Call[Any]]


class Calls:
    """Runs docker-py in threads; what it raises are the `EngineError`s."""

    def __init__(self, clients: Clients, metrics: Metrics, *, launches: int) -> None:
        self._clients = clients
        self._metrics = metrics
        launch_threads = launches + MORE_THREADS
        self._threads = Threads(launch_threads, "engine")
        # A launch or a list must not wait behind a kill of everything.
        self._bulk_threads = Threads(BULK_THREADS, "bulk")
        # Behind our own calls, a ping would take a crowd of them for the Engine's absence.
        self._ping_threads = Threads(2, "ping")
        self._closed = False
        both = self._threads, self._bulk_threads
        metrics.engine_workers.labels("busy").set_function(lambda: sum(t.busy for t in both))
        metrics.engine_workers.labels("queued").set_function(lambda: sum(t.queued for t in both))
        metrics.engine_workers.labels("limit").set(launch_threads + BULK_THREADS)

    async def call(self, first: Call[T], *, timeout: float, then: Then[T] | None = None) -> T:
        """Ask the Engine, for at most `timeout` seconds from when a thread has it; the answer.

        `then` makes a second call of the answer, for the same thread and within the same time: to
        hand work to a thread costs as much as a call. Raises the `EngineError`s: EngineTimeout also
        for all that waits for a thread, once the Engine has answered nobody for so long, and for
        ten seconds at least.
        """
        if self._closed:
            raise EngineUnavailable("the Docker Engine is left to itself: this process is stopping")
        threads = self._threads_for(first.operation)
        turn = _Turn(first, timeout)
        try:
            async with asyncio.timeout(None) as limit:
                return await threads.run(
                    partial(turn.take, self._clients, then),
                    taken=partial(turn.begin, limit),
                    last=first.operation == "stop",
                )
        except TimeoutError:
            raise turn.give_up() from None
        finally:
            turn.over = True
            if isinstance(turn.legs[-1].error, EngineTimeout):
                threads.give_up(since=min(turn.begun, monotonic() - _SILENCE))
            self._account(turn)

    def _threads_for(self, operation: EngineCall) -> Threads:
        for threads in (self._ping_threads, self._threads, self._bulk_threads):
            threads.begin()  # with the first call of any kind: there may be none left later
        if operation == "ping":
            return self._ping_threads
        return self._bulk_threads if operation in _BULK else self._threads

    def close(self) -> None:
        """Take no more calls. Threads that still wait for the Engine are left to themselves."""
        self._closed = True
        for threads in (self._threads, self._bulk_threads, self._ping_threads):
            threads.close()

    def _account(self, turn: "_Turn[Any]") -> None:
        legs = tuple(turn.legs)  # a thread that is given up may add one
        now = perf_counter()
        since_epoch = time() - now
        for leg in legs:
            leg.taken = leg.taken or now
            leg.ended = leg.ended or now
            self._account_call(leg, since_epoch)

    def _account_call(self, leg: "_Leg[Any]", since_epoch: float) -> None:
        """Tell metrics and trace how a call went, or how far it came."""
        operation, began = leg.call.operation, since_epoch + leg.began
        self._metrics.engine_duration.labels(operation).observe(leg.ended - leg.began)
        attributes = {"container.runtime.name": "docker", **leg.call.about}
        span = start_client_span(operation, attributes, began)
        has_waited("thread", began, since_epoch + leg.taken, within=span)
        # A container that is not there is an answer like any other: somebody was quicker.
        if leg.error is not None and not isinstance(leg.error, NoSuchWorkload):
            self._metrics.engine_errors.labels(operation, leg.error.reason).inc()
            fail_span(span, leg.error.reason, leg.error.message)
        end_span(span, since_epoch + leg.ended)


class _Turn(Generic[T]):
    """A thread's: one call or two. The thread writes here, and the event loop reads in the end."""

    def __init__(self, first: Call[T], timeout: float) -> None:
        self._timeout = timeout
        self._deadline = 0.0  # from when a thread has it
        self.begun = 0.0  # likewise, by the monotonic clock
        self.legs: list[_Leg[Any]] = [_Leg(first, perf_counter())]
        self.over = False  # for whoever waited

    def begin(self, limit: asyncio.Timeout) -> None:
        """A thread has it: the time counts from here."""
        self.begun = monotonic()
        self._deadline = perf_counter() + self._timeout
        limit.reschedule(asyncio.get_running_loop().time() + self._timeout)

    def take(self, clients: Clients, then: Then[T] | None) -> T:
        """Make the calls; in a thread."""
        answer: T = self.legs[0].make(clients, self._deadline)
        if then is not None and not self.over:
            self.legs.append(_Leg(then(answer), perf_counter()))
            self.legs[-1].make(clients, self._deadline)
        return answer

    def give_up(self) -> EngineError:
        """Out of time: the error of the call under way."""
        leg = self.legs[-1]
        leg.error = too_long(leg.call.operation, leg.call.target)
        return leg.error


@dataclass(slots=True)
class _Leg(Generic[T]):
    """How a call goes; times are those of the `perf_counter`."""

    call: Call[T]
    began: float
    taken: float = 0.0  # by a thread
    ended: float = 0.0
    error: EngineError | None = None

    def make(self, clients: Clients, deadline: float) -> T:
        self.taken = perf_counter()
        try:
            with mapped(self.call.operation, self.call.target, self.call.redact):
                client = clients.get()
                left = deadline - perf_counter()  # to find the Engine's version may have taken all
                if left <= 0:
                    raise TimeoutError
                client.timeout = left  # type: ignore[assignment]  # fractions are fine
                return self.call.function(client)
        except EngineFaltered as error:
            self.error = error if self.call.operation == "ping" else judged(error, clients)
            raise self.error from None
        except EngineError as error:
            self.error = error
            raise
        finally:
            self.ended = perf_counter()
