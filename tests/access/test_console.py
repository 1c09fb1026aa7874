"""The console before a whole supervisor: who may ask it for what, and what is told of it."""

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import Any, NamedTuple

import pytest

from service.access.access_file import clients_in
from service.console.app import Console, Links
from service.console.callers import Callers
from service.console.hosts import Hosts
from tests.access.served import ANONYMOUS, FILE, Served, console_of

_JOBS = "area_supervisor.AreaSupervisorService"
_TIMERS = FILE.replace("[clients.night-shift]", '[clients.night-shift]\njobs = ["timer*"]')


class Answer(NamedTuple):
    """Of the console."""

    status: int
    text: str

    @property
    def told(self) -> Any:
        return json.loads(self.text)


class Asking:
    """Browsers of clients of the file."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def get(self, path: str, who: str) -> Answer:
        return await asyncio.to_thread(self._ask, "GET", path, who, None)

    async def post(self, path: str, who: str, body: str) -> Answer:
        return await asyncio.to_thread(self._ask, "POST", path, who, body)

    def open(self, path: str, who: str) -> Any:
        """An answer that may be a stream."""
        return self._send("GET", path, who, None).getresponse()

    def _ask(self, method: str, path: str, who: str, body: str | None) -> Answer:
        with closing(self._send(method, path, who, body)) as connection:
            answer = connection.getresponse()
            whole = "text/event-stream" not in (answer.getheader("Content-Type") or "")
            return Answer(answer.status, answer.read().decode() if whole else "")

    def _send(self, method: str, path: str, who: str, body: str | None) -> HTTPConnection:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        cookie = urlsafe_b64encode(f"of-{who}".encode()).decode()
        headers = {"Origin": f"http://127.0.0.1:{self.port}"}
        if who:
            headers["Cookie"] = f"area_supervisor={cookie}"
        connection.request(method, path, body, headers)
        return connection


@pytest.fixture
async def asking(door: Served) -> AsyncIterator[Asking]:
    async with console_of(door) as port:
        yield Asking(port)


# By hand, as that of the methods. What is not here, nobody may: it is not there.
_LOOK, _DO = {"night-shift", "prometheus"}, {"night-shift"}
MAY_ASK: Mapping[tuple[str, str], set[str]] = {
    ("GET", "/"): _LOOK,
    ("GET", "/api/me"): _LOOK,
    ("GET", "/api/job?launch_id=x"): _LOOK,
    ("GET", "/api/jobs"): _LOOK,
    ("GET", "/api/names"): _LOOK,
    ("GET", "/api/stats"): _LOOK,
    ("GET", "/api/findings"): _LOOK,
    ("GET", "/api/day"): _LOOK,
    ("GET", "/api/events"): _LOOK,
    ("GET", "/api/logs?launch_id=x"): _DO,
    ("POST", "/api/launch"): _DO | {"backend"},
    ("POST", "/api/kill"): _DO | {"backend"},
    ("POST", "/api/errors"): _LOOK,
}
_OPEN = {("GET", "/login"), ("POST", "/login"), ("POST", "/logout")}


def test_the_table_has_every_route() -> None:
    nothing: Any = None
    app: Any = Console(nothing, _Nothing(), Callers(None, secure=False), Links()).app(Hosts())
    routes = {
        (method, route.path)
        for route in app._app.routes
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD"
    }
    table = {(method, path.partition("?")[0]) for method, path in MAY_ASK}
    assert table | _OPEN == routes, "MAY_ASK in this file: who may ask for it?"


class _Nothing:
    ListJobs = None


@pytest.mark.parametrize(("method", "path"), MAY_ASK)
async def test_a_role_may_ask_for_what_the_table_says(
    door: Served, asking: Asking, method: str, path: str
) -> None:
    answers = {}
    for who in ("", "nobody", "backend", "night-shift", "prometheus"):
        if method == "GET":
            answers[who] = (await asking.get(path, who)).status
        else:
            answers[who] = (await asking.post(path, who, "{}")).status
    may = MAY_ASK[method, path]
    assert dict.fromkeys(("", "nobody"), 401) == {who: answers[who] for who in ("", "nobody")}
    known = ("backend", "night-shift", "prometheus")
    refused = {who for who in known if answers[who] in (401, 403)}
    assert {*known} - may == refused
    page = path in ("/", "/api/me")
    missing = {} if page else {"missing": 1}
    denied = {"denied": len(refused)} if refused else {}
    assert {"unknown": 1, **missing, **denied} == door.failures()


async def test_a_client_sees_and_counts_its_own_jobs_only(door: Served, asking: Asking) -> None:
    door.access.replace(clients_in(_TIMERS))
    await door.launch("mail", "m-1")
    await door.launch("timer", "t-1")
    for number in range(2):
        await door.launch("webhook", f"w-{number}")
        await door.kill(f"w-{number}", "backend")
    listed = (await asking.get("/api/jobs?include=both", "night-shift")).told["jobs"]
    assert ["t-1"] == [job["identifier"] for job in listed]
    assert "m-1" not in (await asking.get("/", "night-shift")).text
    day = (await asking.get("/api/day", "night-shift")).told
    assert (1, 1) == (sum(day["launches"]), day["running"][-1])
    (other,) = (await asking.get("/api/jobs?name=mail", "prometheus")).told["jobs"]
    for path in ("job", "logs"):
        answer = await asking.get(f"/api/{path}?launch_id={other['launch_id']}", "night-shift")
        assert "that of no live job" in answer.text
    assert 4 == sum((await asking.get("/api/day", "prometheus")).told["launches"])


async def test_what_is_refused_for_its_job_is_counted_and_audited(
    door: Served, asking: Asking
) -> None:
    door.access.replace(clients_in(_TIMERS))
    await door.launch("mail", "m-1")
    launch = await asking.post("/api/launch", "night-shift", '{"name": "mail", "identifier": "x"}')
    kill = await asking.post("/api/kill", "night-shift", '{"identifier": "m-1"}')
    assert (403, 403) == (launch.status, kill.status)
    assert "its role operator is for timer*" in launch.told["error"]
    assert {"denied": 2} == door.failures()
    assert {"m-1": "running"} == door.world.listed()
    keys = ("client", "method", "job", "identifier", "outcome")
    assert [
        ("night-shift", f"{_JOBS}/LaunchJob", "mail", "x", "denied"),
        ("night-shift", f"{_JOBS}/KillJob", "mail", "m-1", "denied"),
    ] == [tuple(event[key] for key in keys) for event in door.events("call.audited")[1:]]


async def test_what_is_done_on_a_page_is_audited(door: Served, asking: Asking) -> None:
    body = '{"name": "timer", "identifier": "t-1"}'
    assert 200 == (await asking.post("/api/launch", "night-shift", body)).status
    assert 200 == (await asking.post("/api/kill", "night-shift", '{"identifier": "t-1"}')).status
    events = door.events("call.audited")
    assert [("night-shift", "launched"), ("night-shift", "killed")] == [
        (event["client"], event["outcome"]) for event in events
    ]
    assert all(event["peer"].startswith("127.0.0.1:") for event in events)


@pytest.mark.parametrize("path", ["/", "/api/me", "/api/jobs"])
async def test_wrong_tokens_in_a_row_are_answered_slower_by_each_page(
    door: Served, asking: Asking, path: str
) -> None:
    began = time.monotonic()
    for _ in range(6):
        assert 401 == (await asking.get(path, "nobody")).status
    assert time.monotonic() - began > 0.6, "0.01 s, and each time twice as much"
    assert {"unknown": 6} == door.failures()


async def test_a_silent_stream_of_a_removed_client_ends_within_seconds(
    door: Served, asking: Asking
) -> None:
    stream = await asyncio.to_thread(asking.open, "/api/events", "night-shift")
    assert b"id: " in await asyncio.to_thread(stream.readline)
    door.access.replace(clients_in(FILE.partition("[clients.night-shift]")[0]))
    began = time.monotonic()
    assert b"event: refused" in await asyncio.to_thread(stream.read)
    assert time.monotonic() - began < 15


async def test_what_strangers_may_see_ends_no_row_of_wrong_tokens(
    door: Served, asking: Asking
) -> None:
    door.access.replace(clients_in(FILE + ANONYMOUS))
    began = time.monotonic()
    for _ in range(6):
        assert 401 == (await asking.get("/api/jobs", "nobody")).status
        assert 200 == (await asking.get("/api/jobs", "")).status
    assert time.monotonic() - began > 0.6, "0.01 s, and each time twice as much"


async def test_headers_without_end_are_hung_up_on(asking: Asking) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", asking.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    with suppress(ConnectionError):
        for number in range(1000):
            writer.write(b"x-%d: %s\r\n" % (number, b"a" * 50_000))
            await writer.drain()
    assert number < 999
    assert reader.at_eof() or reader.exception()
    assert 200 == (await asking.get("/", "prometheus")).status
