"""Odd access files, metadata and HTTP requests: no crash, no traceback, and nobody is let in.

`make fuzz` tries 100,000; the whole of the tests only some, the same each time.
"""

import asyncio
import logging
import os
import re
import socket
import threading
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message
from grpc import aio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service._generated.supervisor.v1 import observer_pb2 as observer
from service.access import throttle
from service.access.access_file import clients_in
from service.access.clients import Client, Reason
from service.access.tokens import hash_line
from tests.access.served import FILE, Served, bearer, console_of, served
from tests.support import http2_raw

T = TypeVar("T")

_INPUTS = int(os.environ.get("FUZZ_INPUTS", "600"))
_LONG = os.environ.get("FUZZ_INPUTS") is not None
# gRPC takes a tenth of a second to end a connection that breaks the rules of HTTP/2.
_AT_ONCE = 10
# Half of the inputs are files, and an eighth each is for one of the others.
FILES = settings(max_examples=_INPUTS // 2, derandomize=not _LONG)
CALLS = settings(max_examples=_INPUTS // 8, derandomize=not _LONG)

_TOKEN = b"of-prometheus"
_RIGHT = b"Bearer " + _TOKEN
_SECRET = "s3cr3t-in-clear"  # as a value: a wrong key is named
_LIST = "/area_supervisor.AreaSupervisorService/ListJobs"
_SOME = f"""
[clients.some]
tokens = ["{hash_line("of-some")}"]
role = "operator"
jobs = ["timer*"]
"""


class _Running:
    """A supervisor in a loop of its own."""

    def __init__(self) -> None:
        self.door: Served
        self.console: int  # its port
        self._loop = asyncio.new_event_loop()
        self._up, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._up.wait(60)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        async with served(FILE + _SOME) as self.door, console_of(self.door) as self.console:
            await self.door.launch("timer", "t-1")
            await self.door.launch("mail", "m-1")
            self._up.set()
            await self._over.wait()


class _Keeping(logging.Handler):
    """Keeps what libraries report as an error."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.ERROR)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


@pytest.fixture(scope="module")
def running() -> Iterator[_Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(throttle, "_LONGEST", 0.0)
        yield from _watched()


def _watched() -> Iterator[_Running]:
    """It must have logged no error of its own, and still serve."""
    made, records = _Running(), list[logging.LogRecord]()
    handler = _Keeping(records)
    logging.getLogger().addHandler(handler)
    try:
        yield made
        assert ["m-1", "t-1"] == made.do(made.door.listed("prometheus")), "it still serves"
        ours = [event for event in made.door.world.logs if event["log_level"] in _BAD]
        assert [] == ours
        # gRPC's own report on metadata that is not UTF-8; observability/logs.py takes it off.
        assert [] == [each for each in records if each.msg != "Invalid encoding on %s"]
    finally:
        logging.getLogger().removeHandler(handler)
        made.close()


_BAD = ("error", "critical")


@st.composite
def _mutated(draw: st.DrawFn, right: Any, pieces: Any) -> Any:
    """Something right in which a few places are replaced, doubled or left out."""
    text = right
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + draw(st.one_of(pieces, st.just(text[start:end] * 2))) + text[end:]
    return text


# Files

_WORDS = ["[", "]", "[[", '"', "'", "=", "\n", ".", "{", "}", "clients", "anonymous", "role", "\0"]
_WORDS += ["tokens", "certificates", "jobs", '"operator"', "[]", "true", "1e999", "\ud800", "#"]
_PIECES = st.one_of(st.sampled_from(_WORDS), st.text(max_size=8))
_TABLES = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.just(_SECRET), st.just(hash_line("of-prometheus"))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["tokens", "role", "jobs", "certificates", "x"]), inner),
    ),
    max_leaves=8,
)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


_FILES = st.one_of(
    _mutated(FILE, _PIECES),
    st.lists(_PIECES, max_size=40).map("".join),
    st.text(),
    _TABLES.map(lambda value: f"clients.a = {_toml(value)}"),
    _TABLES.map(lambda value: f"clients = {_toml(value)}\nanonymous = {_toml(value)}"),
)


@given(_FILES)
@FILES
@example(FILE)
def test_a_file_is_read_or_refused_in_one_line_without_a_secret(text: str) -> None:
    try:
        clients = clients_in(text)
    except ValueError as error:
        told = str(error)
        assert "\n" not in told
        assert _SECRET not in told
        assert "sha256:" not in told.replace('"sha256:" with', "")
        return
    assert clients.all
    assert Reason.UNKNOWN is clients.find([b"Bearer of-nobody"], ())
    assert Reason.UNKNOWN is clients.find([], ["dns:nobody"])
    if isinstance(clients.find([], ()), Client):
        assert "anonymous" in text


# Metadata

_BYTES = st.one_of(st.binary(max_size=8), st.sampled_from([b"\0", b" ", b"\t", b"\xff", b"\r\n"]))
_VALUES = st.one_of(_mutated(_RIGHT, _BYTES), st.binary(max_size=64), st.just(_RIGHT))
# Not the path: if it is not UTF-8, gRPC's loop crashes (tests/unit/api/test_crash.py).
_NAMES = st.one_of(
    st.just(b"authorization"),
    st.just(b"authorization"),
    st.sampled_from([b"authorization-bin", b"x-token", b"cookie", b"grpc-timeout", b"te"]),
    _mutated(b"authorization", _BYTES),
)


def _is_right(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether this is one right token, however its scheme is written."""
    values = [value for name, value in headers if name == b"authorization"]
    one = values[0] if len(values) == 1 else b""
    return one[:7].lower() == b"bearer " and one[7:] == _TOKEN


_HEADERS = st.lists(st.tuples(_NAMES, _VALUES), max_size=4)


@given(st.lists(_HEADERS, min_size=_AT_ONCE, max_size=_AT_ONCE))
@settings(CALLS, max_examples=_INPUTS // 8 // _AT_ONCE)
@example([[(b"authorization", _RIGHT)], [(b"authorization", _RIGHT)] * 2])
def test_metadata_let_in_a_right_token_and_nothing_else(
    running: _Running, calls: list[list[tuple[bytes, bytes]]]
) -> None:
    async def answers() -> list[bytes]:
        port = running.door.port
        return await asyncio.gather(*(http2_raw.call(port, _LIST, each) for each in calls))

    for headers, answer in zip(calls, running.do(answers()), strict=True):
        assert _is_right(headers) or b"t-1" not in answer


# HTTP

_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic of-prometheus\r\n\r\n"
_PARTS = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        [
            *(b"\r\n", b"\n", b" ", b"\0", b":", b"HEAD", b"POST", b"/livez", b"?token=", b"%2f"),
            *(b"HTTP/1.0", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n"),
            *(b"Authorization: Bearer x\r\n", b"Authorization: Bearer \xff\r\n", b"Bearer "),
        ]
    ),
)


def _ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        answer = b""
        with suppress(ConnectionError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(2**16):
                answer += data
    return answer


# What the mutations may make of it.
_RIGHT_HEADER = re.compile(
    rb"^authorization:[ \t]*bearer of-prometheus[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)


@given(st.one_of(_mutated(_REQUEST, _PARTS), st.binary(max_size=200)))
@CALLS
@example(_REQUEST)
@example(_REQUEST.replace(b" Basic", b"Bearer"))
def test_http_requests_let_nobody_in_without_the_right_token(
    running: _Running, asked: bytes
) -> None:
    answer = _ask(running.door.http_port, asked)
    assert _RIGHT_HEADER.search(asked) or b"supervisor_ready" not in answer
    assert b" 500 " not in answer


# What JobObserver is asked for, by a client that may see timers only


_ASKED: dict[str, Message] = {
    "GetJob": observer.GetJobRequest(identifier="m-1"),
    "ListJobs": observer.ListJobsRequest(include="both", name="m*", page_size=2, page_token="x"),
    "ListNames": observer.ListNamesRequest(prefix="m"),
    "Stats": observer.StatsRequest(launch_ids=["x"]),
    "Diagnose": observer.DiagnoseRequest(),
    "Cordon": observer.CordonRequest(reason="mail"),
    "Uncordon": observer.UncordonRequest(),
    "WatchJobs": observer.WatchJobsRequest(name="m*", identifier_prefix="m", resume_token="x"),
    "StreamLogs": observer.StreamLogsRequest(identifier="m-1", follow=True),
}
_STREAMS = ("WatchJobs", "StreamLogs")
_REQUESTS = st.sampled_from(list(_ASKED)).flatmap(
    lambda method: st.tuples(
        st.just(method),
        st.one_of(_mutated(_ASKED[method].SerializeToString(), _BYTES), st.binary(max_size=64)),
    )
)


@given(_REQUESTS)
@CALLS
@example(("GetJob", observer.GetJobRequest(identifier="m-1").SerializeToString()))
@example(("ListJobs", b""))
@example(("WatchJobs", b""))
def test_requests_of_any_bytes_tell_a_client_of_its_own_jobs_only(
    running: _Running, asked: tuple[str, bytes]
) -> None:
    status, answer = running.do(_observed(running.door.channel, *asked))
    assert status not in ("UNKNOWN", "INTERNAL")
    assert b"m-1" not in answer
    assert b"mail" not in answer


async def _observed(channel: Any, method: str, request: bytes) -> tuple[str, bytes]:
    """The status, and the first answer."""
    path, metadata = f"/supervisor.v1.JobObserver/{method}", bearer("some")
    try:
        if method not in _STREAMS:
            return "OK", await channel.unary_unary(path)(request, metadata=metadata, timeout=30)
        stream = channel.unary_stream(path)(request, metadata=metadata, timeout=0.5)
        return "OK", await stream.read() or b""
    except aio.AioRpcError as error:
        return error.code().name, b""


# The console


_COOKIE = b64encode(_TOKEN)
_PAGE = (
    b"GET /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    b"Cookie: area_supervisor=" + _COOKIE.lower() + b"\r\n\r\n"
)
_OF_PAGES = st.one_of(
    _PARTS,
    st.sampled_from(
        [
            *(b"/api/me", b"/api/day", b"/api/logs?launch_id=x", b"/api/launch", b"/static/../"),
            *(b"?page_size=x", b"&since=1", b"; ", b"=", b"area_supervisor=", b"Origin: null\r\n"),
        ]
    ),
)
_COOKIES = re.compile(rb"area_supervisor=([^;\r\n]*)")


def _names_a_client(cookie: bytes) -> bool:
    """Whether the console may take it for the right one: its base64 may have other characters."""
    try:
        return _TOKEN == urlsafe_b64decode(cookie)
    except ValueError:
        return False


@given(_mutated(_PAGE, _OF_PAGES))
@CALLS
@example(_PAGE)
@example(_PAGE.replace(_COOKIE.lower(), _COOKIE))
def test_the_console_lets_nobody_in_without_the_right_cookie(
    running: _Running, asked: bytes
) -> None:
    answer = _ask(running.console, asked)
    assert b"t-1" not in answer or any(map(_names_a_client, _COOKIES.findall(asked)))
    assert b" 500 " not in answer.partition(b"\r\n")[0]
