"""Runs calls to the Engine in threads. Each call is timed, traced, counted and limited in time.

docker-py blocks, and does not promise to be thread-safe. So calls run in a bounded number of
threads, each with its own client. More threads than the Engine can use would only make each call
slower, until it runs out of time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, perf_counter, time
from typing import Any, Generic, TypeVar

from observability.metrics import Metrics
from observability.redaction.redactor import NO_SECRETS, Redactor
from observability.spans import end_span, fail_span, record_wait, start_client_span
from service.engine.base import EngineCall
from service.engine.docker.client import Client
from service.engine.docker.connection import Clients
from service.engine.docker.error_mapping import timeout_error, translated_errors
from service.engine.docker.shutdown_check import check_shutdown
from service.engine.docker.thread_pool import Threads
from service.errors import (
    EngineError,
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    NoSuchWorkload,
)

T = TypeVar("T")

# Operations of which hundreds may be wanted at once. With more threads, an Engine on two cores is
# no faster.
_BULK = frozenset({"stop", "kill", "remove", "inspect", "logs", "stats"})
BULK_THREADS = 20
# After this time without any answer from the Engine, waiting calls are given up (seconds). A
# single call may have a shorter limit, which says nothing about the other calls.
_SILENCE = 10.0
# The most that MAX_PULLS may be.
_MOST_PULLS = 64
_CLOSED = "no more calls to the Docker Engine: this process is stopping"
# In addition to launches: a comparison, an event stream, a search for an abandoned launch.
MORE_THREADS = 4


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call to the Engine.

    `about` has attributes for the span (OpenTelemetry's `container.*`). Error messages contain its
    first value.
    """

    operation: EngineCall
    function: Callable[[Client], T]
    about: Mapping[str, str] = field(default_factory=dict)
    redact: Redactor = NO_SECRETS

    @property
    def target(self) -> str:
        """The object of the call, for error messages."""
        return (*self.about.values(), "")[0]


class Calls:
    """Runs docker-py in threads. Raises `EngineError`s."""

    def __init__(self, clients: Clients, metrics: Metrics, *, launches: int) -> None:
        self._clients = clients
        self._metrics = metrics
        launch_threads = launches + MORE_THREADS
        self._threads = Threads(launch_threads, "engine")
        # Launches and lists must not wait for the calls of a KillAllJobs.
        self._bulk_threads = Threads(BULK_THREADS, "bulk")
        # A ping must not wait for our other calls: the Engine would seem to be away.
        self._ping_threads = Threads(2, "ping")
        # A pull takes minutes, and one whose helper for logins hangs has its thread for ever.
        self._pull_threads = Threads(_MOST_PULLS, "pull")
        self._closed = False
        both = self._threads, self._bulk_threads
        metrics.engine_workers.labels("busy").set_function(lambda: sum(t.busy for t in both))
        metrics.engine_workers.labels("queued").set_function(lambda: sum(t.queued for t in both))
        metrics.engine_workers.labels("limit").set(launch_threads + BULK_THREADS)

    async def call(self, call: Call[T], *, timeout: float) -> T:
        """Call the Engine. The timeout counts from when a thread takes the call (seconds).

        Raises `EngineError`s. Calls that wait for a thread get EngineTimeout, too, if the Engine
        has answered no call for that long, and for at least ten seconds.
        """
        if self._closed:
            raise EngineUnavailable(_CLOSED)
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
            self._record(attempt)

    async def open(
        self,
        operation: EngineCall,
        about: Mapping[str, str],
        opening: Awaitable[T],
        *,
        timeout: float,
    ) -> T:
        """Open a stream, which needs no thread. Raises `EngineError`s."""
        if self._closed:
            raise EngineUnavailable(_CLOSED)
        attempt: _Attempt[Any] = _Attempt(Call(operation, lambda _: None, about), timeout)
        attempt.taken = attempt.asked
        try:
            with translated_errors(operation, attempt.call.target):
                async with asyncio.timeout(timeout):
                    return await opening
        except EngineError as error:
            attempt.error = error
            raise
        finally:
            self._record(attempt)

    def _threads_for(self, operation: EngineCall) -> Threads:
        if operation == "pull":
            return self._pull_threads
        for threads in (self._ping_threads, self._threads, self._bulk_threads):
            threads.start_first()  # all kinds at the first call: later, the limit may be reached
        if operation == "ping":
            return self._ping_threads
        return self._bulk_threads if operation in _BULK else self._threads

    def close(self) -> None:
        """Accept no more calls. Threads that still wait for the Engine are abandoned."""
        self._closed = True
        for threads in (
            self._threads,
            self._bulk_threads,
            self._ping_threads,
            self._pull_threads,
        ):
            threads.close()

    def _record(self, attempt: "_Attempt[Any]") -> None:
        """Record the metrics and the span of a call, which may be unfinished."""
        call, now = attempt.call, perf_counter()
        since_epoch = time() - now
        taken, ended = attempt.taken or now, attempt.ended or now
        self._metrics.engine_duration.labels(call.operation).observe(ended - attempt.asked)
        began = since_epoch + attempt.asked
        attributes = {"container.runtime.name": "docker", **call.about}
        span = start_client_span(call.operation, attributes, began)
        record_wait("thread", began, since_epoch + taken, within=span)
        error = attempt.error
        # A missing container is no failure: another client has removed it.
        if error is not None and not isinstance(error, NoSuchWorkload):
            self._metrics.engine_errors.labels(call.operation, error.reason).inc()
            fail_span(span, error.reason, error.message)
        end_span(span, since_epoch + ended)


class _Attempt(Generic[T]):
    """The state of a call. A thread writes it, and the event loop reads it at the end."""

    def __init__(self, call: Call[T], timeout: float) -> None:
        self.call = call
        self.error: EngineError | None = None
        # Values of `perf_counter`; 0 if it has not happened yet.
        self.asked = perf_counter()
        self.taken = 0.0  # by a thread
        self.ended = 0.0
        self.begun = 0.0  # when a thread took it (`monotonic`)
        self._timeout = timeout
        self._deadline = 0.0

    def begin(self, limit: asyncio.Timeout) -> None:
        """Start the time limit: a thread takes the call."""
        self.begun = monotonic()
        self._deadline = perf_counter() + self._timeout
        limit.reschedule(asyncio.get_running_loop().time() + self._timeout)

    def make(self, clients: Clients) -> T:
        """Make the call. Runs in a thread."""
        self.taken = perf_counter()
        call = self.call
        try:
            with translated_errors(call.operation, call.target, call.redact):
                client = clients.get()
                left = self._deadline - perf_counter()  # asking for the version takes time, too
                if left <= 0:
                    raise TimeoutError
                client.timeout = left  # type: ignore[assignment]  # fractions are fine
                return call.function(client)
        except EngineFailed as error:
            self.error = error if call.operation == "ping" else check_shutdown(error, clients)
            raise self.error from None
        except EngineError as error:
            self.error = error
            raise
        finally:
            self.ended = perf_counter()

    def give_up(self) -> EngineError:
        """Note that the call has run out of time. Return its error."""
        self.error = timeout_error(self.call.operation, self.call.target)
        return self.error
