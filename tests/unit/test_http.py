import asyncio
import gzip
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from observability.http import HttpEndpoint, Probe, every_interface

Answer = tuple[int, dict[str, str], bytes]


class Served:
    """An endpoint and a client of it."""

    def __init__(self, address: str | None, probes: dict[str, Probe]) -> None:
        self.registry = CollectorRegistry()
        Counter("things", "Things.", registry=self.registry).inc(3)
        self.endpoint = HttpEndpoint(address or every_interface(), 0, self.registry, probes)
        self.port = self.endpoint._server.server_port
        self.endpoint.start()

    def get(
        self, path: str, host: str = "127.0.0.1", method: str = "GET", **headers: str
    ) -> Answer:
        with closing(http.client.HTTPConnection(host, self.port, timeout=60)) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


Serve = Callable[..., Served]


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
    answered, headers, body = serve(readyz=lambda: (well, reason)).get("/readyz")
    assert (status, f"{reason}\n") == (answered, body.decode())
    assert "text/plain; charset=utf-8" == headers["content-type"]
    assert str(len(body)) == headers["content-length"]


def test_a_probe_is_asked_each_time(serve: Serve) -> None:
    state = [True]
    served = serve(readyz=lambda: (state[0], "x"))
    assert 200 == served.get("/readyz")[0]
    state[0] = False
    assert 503 == served.get("/readyz")[0]


def test_a_query_does_not_matter_to_a_probe(serve: Serve) -> None:
    assert 200 == serve(livez=lambda: (True, "alive")).get("/livez?verbose=1")[0]


@pytest.mark.parametrize("path", ["/", "/nothing", "/metrics/", "/livez/x"])
def test_what_is_not_here_is_told_with_what_is(serve: Serve, path: str) -> None:
    served = serve(livez=lambda: (True, ""), readyz=lambda: (True, ""))
    status, headers, body = served.get(path)
    assert 404 == status
    assert f"{path} is not here; there are /metrics, /livez, /readyz\n" == body.decode()
    assert headers["content-type"].startswith("text/plain")


def test_a_slow_answer_holds_up_no_other(serve: Serve) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow() -> tuple[bool, str]:
        entered.set()
        return release.wait(10), "slow"

    served = serve(readyz=slow, livez=lambda: (True, "alive"))
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(served.get("/readyz")[0]))
    waiting.start()
    assert entered.wait(5)
    assert 200 == served.get("/livez")[0]
    release.set()
    waiting.join(5)
    assert [200] == answers


def test_a_client_that_says_nothing_holds_up_no_other(serve: Serve) -> None:
    served = serve()
    with socket.create_connection(("127.0.0.1", served.port)):
        assert 200 == served.get("/metrics")[0]


def test_a_probe_that_fails_does_not_end_the_endpoint(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken() -> tuple[bool, str]:
        raise RuntimeError("broken")

    served = serve(readyz=broken)
    assert 500 == served.get("/readyz")[0]
    assert 200 == served.get("/metrics")[0]
    assert "broken" in capfd.readouterr().err


def test_requests_are_not_logged(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    served = serve()
    served.get("/metrics")
    served.get("/nothing")
    assert ("", "") == capfd.readouterr()


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
