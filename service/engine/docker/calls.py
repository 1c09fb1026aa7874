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

    async def call(self, call: Call[T], *, timeout: float) -> T:
        """Ask the Engine, for at most `timeout` seconds from when a thread has it; the answer.

        Raises the `EngineError`s: EngineTimeout also for all that waits for a thread, once the
        Engine has answered nobody for so long, and for ten seconds at least.
        """
        if self._closed:
            raise EngineUnavailable("the Docker Engine is left to itself: this process is stopping")
        threads = self._threads_for(call.operation)
        attempt = _Attempt(call, timeout)
        try:
            async with asyncio.timeout(None) as limit:
                return await threads.run(
                    partial(attempt.make, self._clients),
                    taken=partial(attempt.begin, limit),
                    last=call.operation == "stop",
                )
        except TimeoutError:
            raise attempt.give_up() from None
        finally:
            if isinstance(attempt.error, EngineTimeout):
                threads.give_up(since=min(attempt.begun, monotonic() - _SILENCE))
            self._account(attempt)

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

    def _account(self, attempt: "_Attempt[Any]") -> None:
        """Tell metrics and trace how a call went, or how far it came."""
        call, now = attempt.call, perf_counter()
        since_epoch = time() - now
        taken, ended = attempt.taken or now, attempt.ended or now
        self._metrics.engine_duration.labels(call.operation).observe(ended - attempt.asked)
        began = since_epoch + attempt.asked
        attributes = {"container.runtime.name": "docker", **call.about}
        span = start_client_span(call.operation, attributes, began)
        has_waited("thread", began, since_epoch + taken, within=span)
        error = attempt.error
        # A container that is not there is an answer like any other: somebody was quicker.
        if error is not None and not isinstance(error, NoSuchWorkload):
            self._metrics.engine_errors.labels(call.operation, error.reason).inc()
            fail_span(span, error.reason, error.message)
        end_span(span, since_epoch + ended)


class _Attempt(Generic[T]):
    """How a call goes. A thread writes here, and the event loop reads in the end."""

    def __init__(self, call: Call[T], timeout: float) -> None:
        self.call = call
        self.error: EngineError | None = None
        # By the `perf_counter`; 0 where it has not come so far.
        self.asked = perf_counter()
        self.taken = 0.0  # by a thread
        self.ended = 0.0
        self.begun = 0.0  # likewise by a thread, by the monotonic clock
        self._timeout = timeout
        self._deadline = 0.0

    def begin(self, limit: asyncio.Timeout) -> None:
        """A thread has it: the time counts from here."""
        self.begun = monotonic()
        self._deadline = perf_counter() + self._timeout
        limit.reschedule(asyncio.get_running_loop().time() + self._timeout)

    def make(self, clients: Clients) -> T:
        """Make the call; in a thread."""
        self.taken = perf_counter()
        call = self.call
        try:
            with mapped(call.operation, call.target, call.redact):
                client = clients.get()
                left = self._deadline - perf_counter()  # the Engine's version may have taken it all
                if left <= 0:
                    raise TimeoutError
                client.timeout = left  # type: ignore[assignment]  # fractions are fine
                return call.function(client)
        except EngineFaltered as error:
            self.error = error if call.operation == "ping" else judged(error, clients)
            raise self.error from None
        except EngineError as error:
            self.error = error
            raise
        finally:
            self.ended = perf_counter()

    def give_up(self) -> EngineError:
        """Out of time."""
        self.error = too_long(self.call.operation, self.call.target)
        return self.error
