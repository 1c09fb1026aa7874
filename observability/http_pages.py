"""The pages of the HTTP endpoint: `/metrics` and the probes."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted

from observability.escaping import printable
from observability.logs import get_logger

log = get_logger(__name__)

Probe = Callable[[], Awaitable[tuple[bool, str]]]
"""Returns whether the probe succeeds, and the reason as a text."""

_METRICS = "/metrics"
_METHODS = ("GET", "HEAD")


class Request(NamedTuple):
    """A request. The names of headers are in lower case. Values of one header are joined."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    peer: str = ""  # ADDRESS:PORT


class Answer(NamedTuple):
    """An answer. The headers for its length and the date are added when it is sent."""

    status: HTTPStatus
    headers: Sequence[tuple[str, str]]
    body: bytes


Responder = Callable[[Request], Awaitable[Answer]]
"""Answers a request. Raises nothing: errors become answers."""


Guard = Callable[[Request], Awaitable[Answer | None]]
"""Refuses a request, or returns None."""


def text_answer(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """An answer with a line of text."""
    kind = ("Content-Type", "text/plain; charset=utf-8")
    return Answer(HTTPStatus(status), [kind, *headers], f"{text}\n".encode())


class Pages:
    """All pages. Scrapes are rendered in the executor, because they may be slow."""

    def __init__(
        self,
        registry: CollectorRegistry,
        probes: Mapping[str, Probe],
        renderer: Executor,
        guard: Guard | None = None,
    ) -> None:
        """`guard` is for the metrics; the probes are open."""
        self._registry = registry
        self._probes = probes
        self._renderer = renderer
        self._guard = guard

    async def answer(self, request: Request) -> Answer:
        """Answer a request. HEAD is answered like GET. Raises nothing."""
        known = (_METRICS, *self._probes)
        if request.path not in known:
            text = f"{printable(request.path)} is not here; there are {', '.join(known)}"
            return text_answer(HTTPStatus.NOT_FOUND, text)
        if request.method not in _METHODS:
            allowed = ", ".join(_METHODS)
            text = f"{request.method} is not allowed; allowed are {allowed}"
            return text_answer(HTTPStatus.METHOD_NOT_ALLOWED, text, ("Allow", allowed))
        try:
            return await self._page(request)
        except Exception:
            log.exception("http.crashed", path=request.path)
            return text_answer(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the server's own")

    async def _page(self, request: Request) -> Answer:
        if probe := self._probes.get(request.path):
            well, reason = await probe()
            return text_answer(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, reason)
        if self._guard and (refusal := await self._guard(request)):
            return refusal
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._renderer, _scrape, self._registry, request)


def _scrape(registry: CollectorRegistry, request: Request) -> Answer:
    """The metrics, or those with the requested names, in a format that the client accepts."""
    encode, content_type = _format(request.headers.get("accept", ""))
    names = parse_qs(request.query).get("name[]")
    body = encode(registry.restricted_registry(names) if names else registry)
    headers = [("Content-Type", content_type)]
    if gzip_accepted(request.headers.get("accept-encoding", "")):
        headers.append(("Content-Encoding", "gzip"))
        body = gzip.compress(body)
    return Answer(HTTPStatus.OK, headers, body)


def _format(accept: str) -> tuple[Callable[[Any], bytes], str]:
    try:
        return choose_encoder(accept)
    except TypeError:  # the version is not a number
        return choose_encoder("")
