import asyncio
import gzip
import http.client
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from structlog.testing import capture_logs

from observability import http_connections
from observability.http_endpoint import HttpEndpoint, all_interfaces
from observability.http_pages import Probe
from tests.support.supervised import eventually

Answer = tuple[int, dict[str, str], bytes]

pytestmark = pytest.mark.usefixtures("quiet")


class Served:
    """An endpoint and a client of it."""

    def __init__(self, address: str | None, probes: dict[str, Probe]) -> None:
        self.registry = CollectorRegistry()
        Counter("things", "Things.", registry=self.registry).inc(3)
        self.endpoint = HttpEndpoint(address or all_interfaces(), 0, self.registry, probes)
        self.port = self.endpoint.port
        self.endpoint.start()

    def get(
        self, path: str, host: str = "127.0.0.1", method: str = "GET", **headers: str
    ) -> Answer:
        with closing(http.client.HTTPConnection(host, self.port, timeout=60)) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


Serve = Callable[..., Served]


def says(reason: str, *, well: bool = True) -> Probe:
    """A probe that always answers so."""

    async def probe() -> tuple[bool, str]:
        return well, reason

    return probe


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def one(address: str | None = "127.0.0.1", **probes: Probe) -> Served:
            served = Served(address, {f"/{name}": probe for name, probe in probes.items()})
            stack.callback(served.endpoint.close)
            return served

        yield one


def test_metrics_are_text_by_default(serve: Serve) -> None:
    status, headers, body = serve().get("/metrics")
    assert 200 == status
    assert headers["content-type"].startswith("text/plain; version=")
    assert b"# TYPE things_total counter\nthings_total 3.0\n" in body


def test_metrics_are_openmetrics_for_those_who_accept_it(serve: Serve) -> None:
    served = serve()
    histogram = Histogram("seconds", "Seconds.", registry=served.registry)
    histogram.observe(1, {"trace_id": "abc"})
    status, headers, body = served.get(
        "/metrics", Accept="application/openmetrics-text; version=1.0.0"
    )
    assert 200 == status
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    assert b'# {trace_id="abc"} 1.0' in body


def test_metrics_are_compressed_for_those_who_accept_it(serve: Serve) -> None:
    _, headers, body = serve().get("/metrics", **{"Accept-Encoding": "gzip"})
    assert "gzip" == headers["content-encoding"]
    assert b"things_total 3.0" in gzip.decompress(body)


@pytest.mark.parametrize(
    ("well", "reason", "status"),
    [
        (True, "ready", 200),
        (False, "the Docker Engine cannot be reached: é", 503),
    ],
)
def test_a_probe_answers_with_its_reason_in_words(
    serve: Serve, well: bool, reason: str, status: int
) -> None:
    answered, headers, body = serve(readyz=says(reason, well=well)).get("/readyz")
    assert (status, f"{reason}\n") == (answered, body.decode())
    assert "text/plain; charset=utf-8" == headers["content-type"]
    assert str(len(body)) == headers["content-length"]


def test_a_probe_is_asked_each_time(serve: Serve) -> None:
    state = [True]

    async def changing() -> tuple[bool, str]:
        return state[0], "x"

    served = serve(readyz=changing)
    assert 200 == served.get("/readyz")[0]
    state[0] = False
    assert 503 == served.get("/readyz")[0]


def test_a_query_does_not_matter_to_a_probe(serve: Serve) -> None:
    assert 200 == serve(livez=says("alive")).get("/livez?verbose=1")[0]


@pytest.mark.parametrize("path", ["/", "/nothing", "/metrics/", "/livez/x"])
def test_what_is_not_here_is_told_with_what_is(serve: Serve, path: str) -> None:
    served = serve(livez=says(""), readyz=says(""))
    status, headers, body = served.get(path)
    assert 404 == status
    assert f"{path} is not here; there are /metrics, /livez, /readyz\n" == body.decode()
    assert headers["content-type"].startswith("text/plain")


def test_what_is_not_here_is_told_in_one_line(serve: Serve) -> None:
    told = serve().get("/%1b%0a%c2%85")[2].decode()
    assert "'/\\x1b\\n\\x85' is not here; there are /metrics\n" == told


def test_a_slow_answer_holds_up_no_other(serve: Serve) -> None:
    entered, release = threading.Event(), threading.Event()

    async def slow() -> tuple[bool, str]:
        entered.set()
        return await asyncio.to_thread(release.wait, 60), "slow"

    served = serve(readyz=slow, livez=says("alive"))
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(served.get("/readyz")[0]))
    waiting.start()
    assert entered.wait(30)
    assert 200 == served.get("/livez")[0]
    release.set()
    waiting.join(30)
    assert [200] == answers


def test_a_scrape_that_takes_long_holds_up_no_probe(serve: Serve) -> None:
    entered, release = threading.Event(), threading.Event()

    class Slow:
        def collect(self) -> list[Metric]:
            entered.set()
            assert release.wait(60)
            return []

    served = serve(livez=says("alive"))
    served.registry.register(Slow())
    with ThreadPoolExecutor(1) as pool:
        scrape = pool.submit(served.get, "/metrics")
        assert entered.wait(30)
        assert 200 == served.get("/livez")[0]
        assert not scrape.done()
        release.set()
        assert 200 == scrape.result()[0]


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/nothing"])
def test_head_is_get_without_the_body(serve: Serve, path: str) -> None:
    served = serve(livez=says("alive"), readyz=says("not yet", well=False))
    status, headers, body = served.get(path)
    answered, head, nothing = served.get(path, method="HEAD")
    assert (status, b"") == (answered, nothing)
    assert str(len(body)) == head["content-length"] == headers["content-length"]
    assert headers["content-type"] == head["content-type"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "ODD"])
@pytest.mark.parametrize("path", ["/metrics", "/livez"])
def test_other_methods_are_not_allowed(serve: Serve, method: str, path: str) -> None:
    status, headers, body = serve(livez=says("")).get(path, method=method)
    assert (405, "GET, HEAD") == (status, headers["allow"])
    assert f"{method} is not allowed; allowed are GET, HEAD\n" == body.decode()


def raw(served: Served, sent: bytes) -> bytes:
    """All that is answered, until the connection is closed."""
    with socket.create_connection(("127.0.0.1", served.port), 30) as connection:
        connection.sendall(sent)
        with connection.makefile("rb") as answered:
            return answered.read()


def test_requests_may_follow_each_other_on_one_connection(serve: Serve) -> None:
    served = serve(livez=says("alive"), readyz=says("not yet", well=False))
    answers = raw(
        served,
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
        b"HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    statuses = [b"405 Method Not Allowed", b"200 OK", b"503 Service Unavailable"]
    assert statuses == re.findall(rb"^HTTP/1.1 (.+)\r$", answers, re.MULTILINE)
    assert answers.endswith(b"\r\n\r\nnot yet\n")
    assert 0 == answers.count(b"alive")


@pytest.mark.parametrize(
    "line",
    [
        "GET /livez HTTP/1.0",
        "GET //livez HTTP/1.1",
        "GET /live%7a HTTP/1.1",
        "GET http://somewhere:80/livez?x HTTP/1.1",
    ],
)
def test_a_page_may_be_asked_for_in_other_ways(serve: Serve, line: str) -> None:
    asked = f"{line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    assert raw(serve(livez=says("alive")), asked).endswith(b"\r\n\r\nalive\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64, 400),  # TLS' hello
        (b"SM\r\n\r\n", 400),  # HTTP/2 begins so
        (b"GET /livez HTTP/1.1\r\n\r\n", 400),  # without a host
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: odd\r\n\r\n", 501),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000, 431),
    ],
)
def test_what_is_no_request_is_told_so_and_hung_up_on(
    serve: Serve, sent: bytes, status: int
) -> None:
    served = serve(livez=says("alive"))
    assert raw_until_refused(served, sent).startswith(f"HTTP/1.1 {status} ".encode())
    assert 200 == served.get("/livez")[0]


def test_garbage_after_a_request_is_told_so(serve: Serve) -> None:
    served = serve(livez=says("alive"))
    answers = raw_until_refused(served, b"HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03\r\n\r\n")
    assert b"\r\n\r\nHTTP/1.1 400 Bad Request\r\n" in answers
    assert answers.count(b"not a request: ") == 1


def test_garbage_within_a_head_is_told_without_a_body(serve: Serve) -> None:
    head = b"HEAD /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nodd\r\n"
    answer = raw_until_refused(serve(livez=says("alive")), head)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"\r\n\r\n")


def raw_until_refused(served: Served, sent: bytes) -> bytes:
    """What is answered to a client that may not get to the end of what it wanted to send."""
    with socket.create_connection(("127.0.0.1", served.port), 30) as connection:
        connection.sendall(sent)
        answered = b""
        while received := connection.recv(65536):
            answered += received
        return answered


def test_a_client_that_waits_to_be_told_to_go_on_is_answered_at_once(serve: Serve) -> None:
    head = b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    assert raw(serve(livez=says("")), head).startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    "sent", [b"", b"GET /livez HTT", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"]
)
def test_a_reset_is_told_to_nobody(serve: Serve, sent: bytes) -> None:
    served = serve(livez=says("alive"))
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
            connection.sendall(sent)
            reset = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    assert 200 == served.get("/livez")[0]


@pytest.mark.parametrize("sent", [b"", b"GET /liv", b"POST /livez HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_client_that_says_nothing_more_is_hung_up_on(
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    sent: bytes,
) -> None:
    monkeypatch.setattr(http_connections, "_TIMEOUT", 0.2)
    served = serve(livez=says(""))
    with socket.create_connection(("127.0.0.1", served.port), 30) as connection:
        connection.sendall(sent)
        with suppress(ConnectionResetError):
            while connection.recv(65536):
                pass


def test_a_client_that_sends_a_byte_now_and_then_is_hung_up_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "_TIMEOUT", 0.2)
    served = serve(livez=says(""))
    with socket.create_connection(("127.0.0.1", served.port), 30) as connection:
        connection.sendall(b"GET /")

        def is_hung_up_on() -> bool:
            with suppress(ConnectionError):
                connection.sendall(b"x")
                return False
            return True

        eventually(is_hung_up_on)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_client_that_does_not_take_its_answer_is_hung_up_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "_TIMEOUT", 1)
    served = serve()
    gauge = Gauge("big", "x" * 20_000_000, registry=served.registry)
    gauge.set(1)
    with socket.create_connection(("127.0.0.1", served.port), 30) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1)
        both = open_files()
        eventually(lambda: open_files() < both)


def test_the_one_that_has_been_silent_for_longest_makes_room(serve: Serve) -> None:
    served = serve(livez=says("alive"))
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 30))
            for _ in range(200)
        ]
        for _ in range(10):
            assert 200 == served.get("/livez")[0]
        with suppress(ConnectionResetError):
            assert b"" == silent[0].recv(1)
        silent[-1].sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert silent[-1].recv(15) == b"HTTP/1.1 200 OK"


def test_it_keeps_two_threads_however_many_ask(serve: Serve) -> None:
    before = set(threading.enumerate())
    served = serve(livez=says("alive"))
    with ThreadPoolExecutor(20) as pool:
        answers = pool.map(served.get, ["/livez", "/metrics"] * 50)
        assert {200} == {status for status, _, _ in answers}
    made = set(threading.enumerate()) - before
    assert {"http", "scrapes_0"} == {thread.name for thread in made}


_WITH_FEW_FILES = """
import logging, os, resource, sys, time
from prometheus_client import CollectorRegistry
from observability.http_endpoint import HttpEndpoint
logging.basicConfig()
endpoint = HttpEndpoint("127.0.0.1", 0, CollectorRegistry(), {})
endpoint.start()
import observability.http_connections
files = len(os.listdir("/proc/self/fd")) + 5
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
print(endpoint.port, flush=True)
sys.stdin.readline()
print(time.process_time(), flush=True)
sys.stdin.readline()
"""


def test_where_no_more_files_can_be_opened_nothing_is_logged_and_nothing_spins() -> None:
    with (
        subprocess.Popen(
            [sys.executable, "-c", _WITH_FEW_FILES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        ExitStack() as stack,
    ):
        assert process.stdin
        assert process.stdout
        assert process.stderr
        port = int(process.stdout.readline())
        many = [stack.enter_context(_connected(port)) for _ in range(40)]
        with suppress(ConnectionResetError):
            assert b"" == many[-1].recv(1)  # hung up on
        process.stdin.write("\n")
        process.stdin.flush()
        assert float(process.stdout.readline()) < 5
        for each in many:
            each.close()
        eventually(lambda: _gets_an_answer(port))
        process.stdin.close()
        assert "" == process.stderr.read()


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 30)


def _gets_an_answer(port: int) -> bool:
    with suppress(ConnectionResetError), _connected(port) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        return connection.recv(12) == b"HTTP/1.1 200"
    return False


def test_a_version_that_is_no_number_gets_the_text_format(serve: Serve) -> None:
    status, headers, _ = serve().get("/metrics", Accept="application/openmetrics-text; version=é")
    assert 200 == status
    assert headers["content-type"].startswith("text/plain; version=0.0.4")


def test_a_scrape_may_ask_for_some_names(serve: Serve) -> None:
    served = serve()
    Gauge("others", "Others.", registry=served.registry)
    assert b"# TYPE things_total counter" in served.get("/metrics?name[]=things_total")[2]
    assert b"others" not in served.get("/metrics?name[]=things_total")[2]


def test_a_probe_that_fails_does_not_end_the_endpoint(serve: Serve) -> None:
    async def broken() -> tuple[bool, str]:
        raise RuntimeError("broken")

    served = serve(readyz=broken)
    with capture_logs() as logged:
        assert 500 == served.get("/readyz")[0]
    assert [("http.crashed", "/readyz")] == [(each["event"], each["path"]) for each in logged]
    assert 200 == served.get("/metrics")[0]


def test_requests_are_not_logged(serve: Serve) -> None:
    served = serve()
    served.get("/metrics")
    served.get("/nothing")


def test_a_port_that_is_taken_is_an_error_of_the_operating_system(serve: Serve) -> None:
    served = serve()
    with pytest.raises(OSError, match="in use"):
        HttpEndpoint("127.0.0.1", served.port, served.registry, {})


def test_a_port_that_another_program_listens_on_is_an_error_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="in use"):
        HttpEndpoint("127.0.0.1", other.getsockname()[1], CollectorRegistry(), {})


def test_without_an_address_all_interfaces_answer(serve: Serve) -> None:
    served = serve(None)
    assert 200 == served.get("/metrics", host="127.0.0.1")[0]
    if has_ipv6_loopback():
        assert 200 == served.get("/metrics", host="::1")[0]


def has_ipv6_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no IPv6 on its loopback")
def test_an_address_may_be_of_ipv6(serve: Serve) -> None:
    assert 200 == serve("::1").get("/metrics", host="::1")[0]


def test_once_closed_the_port_is_free() -> None:
    served = Served("127.0.0.1", {})
    served.get("/metrics")
    served.endpoint.close()
    with pytest.raises(ConnectionError):
        served.get("/metrics")
    again = HttpEndpoint("127.0.0.1", served.port, CollectorRegistry(), {})
    again.start()
    again.close()


async def test_rendering_a_scrape_never_holds_up_the_event_loop(serve: Serve) -> None:
    served = serve()
    counter = Counter("many", "Many.", ["number"], registry=served.registry)
    for number in range(30_000):
        counter.labels(number)
    began = time.perf_counter()
    scrape = asyncio.create_task(asyncio.to_thread(served.get, "/metrics"))
    turns = 0
    while not scrape.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert 200 == (await scrape)[0]
    assert time.perf_counter() - began > 0.1  # or it shows nothing
    assert turns > 10  # it would be one or two
