"""What the HTTP endpoint answers: `/metrics`, and the probes."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted

from observability.logs import get_logger
from observability.printable import printable

log = get_logger(__name__)

Probe = Callable[[], Awaitable[tuple[bool, str]]]
"""A probe's answer: whether it is well, and why in words."""

_METRICS = "/metrics"
_METHODS = ("GET", "HEAD")


class Request(NamedTuple):
    """What is asked for. Names of headers are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


class Answer(NamedTuple):
    """What is answered. The length of the body and the date go with it."""

    status: HTTPStatus
    headers: Sequence[tuple[str, str]]
    body: bytes


Answering = Callable[[Request], Awaitable[Answer]]
"""Answers a request, with an error if need be; raises nothing."""


def in_words(status: int, told: str, *headers: tuple[str, str]) -> Answer:
    """An answer that is a line of text."""
    kind = ("Content-Type", "text/plain; charset=utf-8")
    return Answer(HTTPStatus(status), [kind, *headers], f"{told}\n".encode())


class Pages:
    """All that there are. Scrapes are rendered in the executor, since one may take a while."""

    def __init__(
        self, registry: CollectorRegistry, probes: Mapping[str, Probe], renderer: Executor
    ) -> None:
        self._registry = registry
        self._probes = probes
        self._renderer = renderer

    async def answer(self, request: Request) -> Answer:
        """Answer a request, to HEAD as to GET. Raises nothing."""
        known = (_METRICS, *self._probes)
        if request.path not in known:
            told = f"{printable(request.path)} is not here; there are {', '.join(known)}"
            return in_words(HTTPStatus.NOT_FOUND, told)
        if request.method not in _METHODS:
            allowed = ", ".join(_METHODS)
            told = f"{request.method} is not allowed; allowed are {allowed}"
            return in_words(HTTPStatus.METHOD_NOT_ALLOWED, told, ("Allow", allowed))
        try:
            return await self._page(request)
        except Exception:
            log.exception("http.crashed", path=request.path)
            return in_words(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the server's own")

    async def _page(self, request: Request) -> Answer:
        if probe := self._probes.get(request.path):
            well, reason = await probe()
            return in_words(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, reason)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._renderer, _scrape, self._registry, request)


def _scrape(registry: CollectorRegistry, request: Request) -> Answer:
    """What Prometheus gets, of the names that it asks for, in the format that it accepts."""
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
    except TypeError:  # a version that is no number
        return choose_encoder("")
