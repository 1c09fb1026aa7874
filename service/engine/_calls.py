"""Calls to the Engine: in bounded threads, each timed, traced, counted, and ended by its limit.

docker-py blocks and is not promised to be thread-safe, so every call runs in one of a bounded
number of threads, each with a client of its own.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter, time
from typing import Any, Generic, TypeVar

import docker

from observability.metrics import Metrics
from observability.redaction import Redactor
from observability.spans import end_span, fail_span, has_waited, start_client_span
from service.engine._dockerpy import Clients
from service.engine._errors import KEEP_NOTHING, mapped, too_long
from service.engine._threads import Threads
from service.errors import EngineError, EngineUnavailable, NoSuchWorkload

T = TypeVar("T")

# Enough for 64 kills that wait out their grace beside the launches and everything short.
THREADS = 96


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """What the Engine is asked.

    `about` goes on the span (OpenTelemetry's `container.*` attributes); its first value says in
    errors what the call was about.
    """

    operation: str
    function: Callable[[docker.APIClient], T]
    about: Mapping[str, str] = field(default_factory=dict)
    redact: Redactor = KEEP_NOTHING

    @property
    def target(self) -> str:
        """What it is about."""
        return (*self.about.values(), "")[0]


Then = Callable[[T], Call[Any]]


class Calls:
    """Runs docker-py in threads; what it raises are the `EngineError`s."""

    def __init__(self, clients: Clients, metrics: Metrics) -> None:
        self._clients = clients
        self._metrics = metrics
        self._threads = Threads(THREADS, "engine")
        # Behind our own calls, a ping would take a crowd of them for the Engine's absence.
        self._ping_threads = Threads(2, "ping")
        self._closed = False
        metrics.engine_workers.labels("busy").set_function(lambda: self._threads.busy)
        metrics.engine_workers.labels("queued").set_function(lambda: self._threads.queued)
        metrics.engine_workers.labels("limit").set(THREADS)

    async def call(self, first: Call[T], *, timeout: float, then: Then[T] | None = None) -> T:
        """Ask the Engine, for at most `timeout` seconds, waiting included; the answer.

        `then` makes a second call of the answer, for the same thread and within the same time: to
        hand work to a thread costs as much as a call. Raises the `EngineError`s.
        """
        if self._closed:
            raise EngineUnavailable("the Docker Engine is left to itself: this process is stopping")
        threads = self._ping_threads if first.operation == "ping" else self._threads
        turn = _Turn(first, timeout)
        try:
            async with asyncio.timeout(timeout):
                return await threads.run(partial(turn.take, self._clients, then))
        except TimeoutError:
            raise turn.give_up() from None
        finally:
            turn.over = True
            self._account(turn)

    def close(self) -> None:
        """Take no more calls. Threads that still wait for the Engine are left to themselves."""
        self._closed = True
        self._threads.close()
        self._ping_threads.close()

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
        began = perf_counter()
        self._deadline = began + timeout
        self.legs: list[_Leg[Any]] = [_Leg(first, began)]
        self.over = False  # for whoever waited

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
        except EngineError as error:
            self.error = error
            raise
        finally:
            self.ended = perf_counter()
