"""A browser, and consoles before APIs in memory."""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
import uvloop
from playwright.sync_api import Browser, Page, Request, expect

from scripts import browser as browser_program
from scripts.ports import free_port
from service.access.access import Access
from service.access.clients import Client, Clients, Credentials
from service.access.roles import Role
from service.app.metric_labels import new_metrics
from service.console.app import Console, Links
from service.console.callers import Callers
from service.console.hosts import Hosts
from service.console.server import ConsoleServer
from tests.console.stub import StubApi
from tests.support.samples import NAMES

_NO_LINKS = Links()

expect.set_options(timeout=30_000)  # a browser on a busy machine takes seconds now and then


class Served:
    """A console in a thread of its own."""

    def __init__(
        self, api: StubApi, access: Access | None = None, links: Links = _NO_LINKS
    ) -> None:
        self.api = api
        self.url = f"http://127.0.0.1:{free_port()}"
        self._access, self._links = access, links
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()

    def start(self) -> None:
        self.run(self._start)

    async def _start(self) -> None:
        port = int(self.url.rpartition(":")[2])
        jobs: Any = self.api
        callers = Callers(self._access, secure=False)
        console = Console(jobs, jobs, callers, self._links)
        self._server = ConsoleServer(console.app(Hosts()), "127.0.0.1", port, close=console.close)
        self._server.start()

    @property
    def open_connections(self) -> int:
        return len(self._server._server.server_state.connections)

    @property
    def under_way(self) -> int:
        return len(self._server._server.server_state.tasks)

    def stop(self) -> None:
        self.run(self._server.stop)

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def run(self, work: Callable[[], Any]) -> None:
        """Run a function, or coroutine function, in the loop of the console."""

        async def call() -> None:
            result = work()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)

    def change(self, *jobs: Any) -> None:
        self.run(lambda: self.api.change(*jobs))

    def say(self, *texts: str) -> None:
        self.run(lambda: self.api.say(*texts))


@pytest.fixture(scope="module")  # while it is open, no coroutine can be tested
def browser() -> Iterator[Browser]:
    with browser_program.opened() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails its test if a script of it fails, and names what it did not get."""
    context = browser.new_context()
    unanswered: set[Request] = set()
    context.on("request", lambda request: unanswered.update([request]))
    context.on("requestfinished", lambda request: unanswered.difference_update([request]))
    opened = context.new_page()
    failures: list[str] = []
    opened.on("pageerror", lambda error: failures.append(str(error)))
    yield opened
    for request in unanswered:
        sys.stdout.write(f"{request.url}: {request.failure or 'no answer yet'}\n")
    context.close()
    assert [] == failures


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    served: list[Served] = []

    def start(api: StubApi, access: Access | None = None, links: Links = _NO_LINKS) -> Served:
        served.append(Served(api, access, links))
        return served[-1]

    yield start
    for each in served:
        each.close()


@pytest.fixture
def known() -> Access:
    """Access for an operator, an observer and one who may see little."""
    metrics = new_metrics(NAMES, version="1", engine="docker", mode="production")
    roles = {"root": Role.OPERATOR, "eye": Role.OBSERVER, "back": Role.BACKEND}
    clients = [
        Credentials(Client(name, role), [sha256(f"{name}-token".encode()).digest()])
        for name, role in roles.items()
    ]
    return Access(Clients(clients), metrics)
