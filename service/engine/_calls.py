"""Calls to the Engine: bounded threads, and the one error boundary.

docker-py blocks and is not promised to be thread-safe, so every call runs in one of a bounded
number of threads, each with a client of its own.
"""

import asyncio
import contextvars
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException
from time import perf_counter, time_ns
from typing import TypeVar

import docker
import requests
from docker.errors import APIError, DockerException

from observability.metrics import Metrics
from observability.redaction import Redactor
from observability.spans import client_span, fail_span, has_waited
from service.engine._dockerpy import NOT_DOCKER, Clients
from service.engine._threads import Threads
from service.errors import (
    EngineError,
    EngineFaltered,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    ImageMissing,
    NameTaken,
    NoSuchWorkload,
)

T = TypeVar("T")

# Enough for 64 kills that wait out their grace beside the launches and everything short.
THREADS = 96
_KEEP_NOTHING = Redactor()
_NOTHING_IN_PARTICULAR: Mapping[str, str] = {}
_HOLDER = re.compile(r'container "?([0-9a-f]{64})')


class Calls:
    """Runs docker-py in threads; each call is timed, traced, counted and its errors mapped."""

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

    async def call(
        self,
        operation: str,
        function: Callable[[docker.APIClient], T],
        *,
        timeout: float,
        about: Mapping[str, str] = _NOTHING_IN_PARTICULAR,
        redact: Redactor = _KEEP_NOTHING,
    ) -> T:
        """Run a function with a client, for at most `timeout` seconds, waiting included.

        `about` goes on the span (OpenTelemetry's `container.*` attributes); its first value says
        in errors what the call was about. Raises the `EngineError`s.
        """

        def run() -> T:
            has_waited("thread", asked)
            with mapped(operation, target, redact):
                client = self._clients.get()
                client.timeout = timeout  # type: ignore[assignment]  # requests takes fractions
                return function(client)

        if self._closed:
            raise EngineUnavailable("the Docker Engine is left to itself: this process is stopping")
        target = next(iter(about.values()), "")
        threads = self._ping_threads if operation == "ping" else self._threads
        with self._observed(operation, about):
            asked = time_ns()
            try:
                async with asyncio.timeout(timeout):
                    return await threads.run(partial(contextvars.copy_context().run, run))
            except TimeoutError:
                raise _too_long(operation, target) from None

    def close(self) -> None:
        """Take no more calls. Threads that still wait for the Engine are left to themselves."""
        self._closed = True
        self._threads.close()
        self._ping_threads.close()

    @contextmanager
    def _observed(self, operation: str, about: Mapping[str, str]) -> Iterator[None]:
        began = perf_counter()
        with client_span(operation, {"container.runtime.name": "docker", **about}) as span:
            try:
                yield
            except NoSuchWorkload:
                raise  # an answer like any other: somebody was quicker
            except EngineError as error:
                fail_span(span, error.reason, error.message)
                self._metrics.engine_errors.labels(operation, error.reason).inc()
                raise
            finally:
                self._metrics.engine_duration.labels(operation).observe(perf_counter() - began)


@contextmanager
def mapped(operation: str, target: str, redact: Redactor = _KEEP_NOTHING) -> Iterator[None]:
    """The one place where the exceptions of docker-py and below become ours."""
    try:
        yield
    except APIError as error:
        raise _from_answer(operation, target, error, redact) from None
    except (requests.exceptions.Timeout, TimeoutError):
        raise _too_long(operation, target) from None
    except (DockerException, requests.exceptions.RequestException, HTTPException, OSError) as error:
        raise EngineUnavailable(f"the Docker Engine cannot be reached: {_why(error)}") from None


def _too_long(operation: str, target: str) -> EngineTimeout:
    about = f" for {target}" if target else ""
    return EngineTimeout(f"the Docker Engine took too long: {operation}{about}")


def _why(error: BaseException) -> str:
    """What the operating system said, from underneath what three libraries made of it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        if isinstance(inner, BadStatusLine) and not isinstance(inner, OSError):
            return NOT_DOCKER
        inner = inner.__cause__ or inner.__context__
    return str(error) if isinstance(error, DockerException) else type(error).__name__


def _from_answer(operation: str, target: str, error: APIError, redact: Redactor) -> EngineError:
    """An error that the Engine has answered, told by its HTTP status and by what was asked."""
    explanation = str(error.explanation or error)
    text = redact(explanation)
    status = error.status_code or 0
    if operation == "create" and status == HTTPStatus.NOT_FOUND:
        return ImageMissing(
            f"image {target}: is not on the Docker Engine, and images are never pulled here;"
            " build or tag it under this name"
        )
    if operation == "create" and status == HTTPStatus.CONFLICT:
        holder = _HOLDER.search(explanation)
        return NameTaken(f"the container's name is taken: {text}", holder and holder[1])
    if operation != "start" and status == HTTPStatus.NOT_FOUND:
        return NoSuchWorkload(f"container {target}: does not exist")
    about = f" for {target}" if target else ""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:  # as a proxy says whose Engine is away
        return EngineUnavailable(f"the Docker Engine cannot be reached: {text}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return EngineFaltered(f"the Docker Engine failed: {operation}{about}: {text}")
    return EngineRefused(f"the Docker Engine refused: {operation}{about}: {text}")
