"""On the real registry, with the real client, and a real backend that may be away."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from queue import Queue
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from examples import backend
from observability.metrics import Metrics
from scripts.ports import free_port
from service.api import backend_client
from service.api.backend_client import BackendClient
from service.app.metric_labels import new_metrics
from service.crash_reports import crash_reports
from service.crash_reports.backend import BackendAway
from service.crash_reports.crash_reports import CrashReports
from service.jobs.observations import Closed, ClosedElsewhere, KillIntended, Started, StartFailed
from service.state.registry import Registry
from service.support.retry import Backoff
from service.support.tasks import Background
from tests.support.counted_calls import eventually
from tests.support.samples import NAMES, a_job

_SOON = Backoff(0.01, 0.05)
_LONG = Backoff(600, 600)
_TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class _Backend:
    """A backend that comes and goes, and what it was told: it does not always answer."""

    def __init__(self) -> None:
        self.port = free_port()
        self.calls: Queue[backend.Call] = Queue()
        self.answers, self.hangs = True, threading.Event()
        self._server: grpc.Server | None = None

    def come(self) -> None:
        self._server, _ = backend.serve(f"127.0.0.1:{self.port}", self._told)

    def go(self) -> None:
        """Without an answer to what it was told."""
        if self._server:
            self._server.stop(0).wait()
        self._server = None

    def _told(self, call: backend.Call) -> None:
        self.calls.put(call)
        if not self.answers:
            self.hangs.wait(10)

    def identifiers(self) -> list[str]:
        """Of all calls, in the order of their arrival."""
        return [call.identifier for call in list(self.calls.queue)]


class _Client(BackendClient):
    """Counts how often the backend was away."""

    away = 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        try:
            async with super().connect() as connection:
                yield connection
        except BackendAway:
            self.away += 1
            raise


class _Supervisor:
    """A registry, and the reports of what happens to its jobs."""

    def __init__(self, port: int, *, pauses: Backoff = _SOON, longest_wait: float = 600.0) -> None:
        self.metrics = new_metrics(NAMES, version="1", engine="docker", mode="production")
        self.registry, self.background = Registry(self.metrics), Background()
        self.client = _Client(f"127.0.0.1:{port}")
        self.reports = CrashReports(
            self.client,
            self.registry,
            self.background,
            self.metrics,
            pauses=pauses,
            longest_wait=longest_wait,
        )

    def fail(self, *identifiers: str) -> None:
        """Have jobs crash."""
        for identifier in identifiers:
            self.run(identifier)
            self.registry.observe(identifier, Closed(100.0, 3))

    def run(self, identifier: str) -> None:
        self.registry.add(a_job(identifier, identifier=identifier, traceparent=_TRACEPARENT))
        self.registry.observe(identifier, Started("c1", 90.0))

    def counts(self) -> dict[str, float]:
        """The reports by what has become of them."""
        return {
            outcome: number
            for outcome in ("sent", "failed", "dropped")
            if (number := _sample(self.metrics, "supervisor_crash_reports_total", outcome))
        }

    def waiting(self) -> float:
        return _sample(self.metrics, "supervisor_crash_reports_waiting")

    async def until(self, **counts: float) -> None:
        await eventually(lambda: self.counts() == counts)

    async def was_away(self, times: int = 1) -> None:
        """Wait until the backend was."""
        await eventually(lambda: self.client.away >= times)


def _sample(metrics: Metrics, name: str, outcome: str = "") -> float:
    found = metrics.registry.get_sample_value(name, {"outcome": outcome} if outcome else {})
    assert found is not None
    return found


@pytest.fixture
def away() -> Iterator[_Backend]:
    made = _Backend()
    yield made
    made.hangs.set()
    made.go()


@pytest.fixture
def there(away: _Backend) -> _Backend:
    away.come()
    return away


@contextmanager
def _logs(*events: str) -> Iterator[list[EventDict]]:
    """The events of these names."""
    with capture_logs() as entries:
        kept: list[EventDict] = []
        yield kept
        kept += [entry for entry in entries if entry["event"] in events]


async def test_each_end_is_reported_with_its_reason(there: _Backend) -> None:
    supervisor = _Supervisor(there.port)
    supervisor.fail("a")
    await supervisor.until(sent=1)
    supervisor.fail("b", "c")
    await supervisor.until(sent=3)
    assert ["a", "b", "c"] == there.identifiers()
    call = there.calls.get()
    assert "OnError" == call.method
    assert "timer failed on 1970-01-01 at 00:01:40 UTC: it ended with exit code 3." == call.content


async def test_what_is_no_crash_is_not_reported(there: _Backend) -> None:
    supervisor = _Supervisor(there.port)
    registry = supervisor.registry
    for identifier in ("killed", "elsewhere", "failed start"):
        supervisor.run(identifier)
    registry.observe("killed", KillIntended())
    registry.observe("killed", Closed(100.0, 143))
    registry.observe("elsewhere", ClosedElsewhere())
    registry.observe("failed start", StartFailed())
    registry.add(a_job("good", identifier="good", ends=True))
    registry.observe("good", Started("c1", 90.0))
    registry.observe("good", Closed(100.0, 0))
    supervisor.fail("crashed")
    await supervisor.until(sent=1)
    assert ["crashed"] == there.identifiers()


async def test_the_backend_gets_a_trace_of_its_own(there: _Backend) -> None:
    """A job may run for weeks: the trace is not that of its launch, but linked to it."""
    supervisor = _Supervisor(there.port)
    supervisor.fail("a")
    await supervisor.until(sent=1)
    traceparent = there.calls.get().traceparent
    if traceparent:  # other tests may have set up tracing, or not
        assert _TRACEPARENT.split("-")[1] not in traceparent


async def test_reports_wait_for_a_backend_that_is_away(away: _Backend) -> None:
    supervisor = _Supervisor(away.port)
    with _logs("crash_report.delayed") as logged:
        supervisor.fail("a", "b")
        await supervisor.was_away(times=3)
    assert ({}, 2) == (supervisor.counts(), supervisor.waiting())
    (told,) = logged
    assert (f"127.0.0.1:{away.port}", 2) == (told["target"], told["waiting"])
    assert "refused" in told["error"].lower() or "Connect call failed" in told["error"]
    away.come()
    await supervisor.until(sent=2)
    assert (["a", "b"], 0) == (away.identifiers(), supervisor.waiting())


async def test_what_may_have_arrived_is_not_sent_again(there: _Backend) -> None:
    there.answers = False
    supervisor = _Supervisor(there.port)
    with _logs("crash_report.failed") as logged:
        supervisor.fail("a")
        await eventually(lambda: there.identifiers() == ["a"])
        there.go()
        await supervisor.until(failed=1)
    assert ["a"] == [entry["identifier"] for entry in logged]
    there.answers = True
    there.come()
    supervisor.fail("b")
    await supervisor.until(failed=1, sent=1)
    assert ["a", "b"] == there.identifiers()


async def test_a_backend_that_hangs_is_waited_for_a_while(
    there: _Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_client, "_ANSWER_SECONDS", 0.1)
    there.answers = False
    supervisor = _Supervisor(there.port)
    with _logs("crash_report.failed") as logged:
        supervisor.fail("a", "b")
        await supervisor.until(failed=2)
    assert ["DEADLINE_EXCEEDED"] * 2 == [entry["status"] for entry in logged]
    arrived = there.identifiers()  # on a busy machine, none of them need be there in time
    assert sorted(set(arrived)) == arrived


async def test_a_port_that_speaks_no_grpc_is_a_backend_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend_client, "_CONNECT_SECONDS", 0.5)
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    supervisor = _Supervisor(server.sockets[0].getsockname()[1], pauses=_LONG)
    with _logs("crash_report.delayed") as logged:
        supervisor.fail("a")
        await supervisor.was_away()
    assert ["the port is open, but nothing there speaks gRPC without TLS"] == [
        entry["error"] for entry in logged
    ]
    await supervisor.reports.finish(within=0.3)
    server.close()


async def test_too_many_drop_the_oldest(away: _Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_reports, "MOST_WAITING", 2)
    supervisor = _Supervisor(away.port)
    with _logs("crash_report.dropped") as logged:
        supervisor.fail("a", "b", "c")
    assert [("a", "full")] == [(entry["identifier"], entry["reason"]) for entry in logged]
    away.come()
    await supervisor.until(dropped=1, sent=2)
    assert ["b", "c"] == away.identifiers()


async def test_old_ones_are_dropped(away: _Backend) -> None:
    supervisor = _Supervisor(away.port, longest_wait=0.1)
    with _logs("crash_report.dropped") as logged:
        supervisor.fail("a")
        await supervisor.until(dropped=1)
    assert [("a", "old")] == [(entry["identifier"], entry["reason"]) for entry in logged]
    assert 0 == supervisor.waiting()
    away.come()
    supervisor.fail("b")
    await supervisor.until(dropped=1, sent=1)
    assert ["b"] == away.identifiers()


async def test_a_stop_sends_what_waits_at_once(away: _Backend) -> None:
    supervisor = _Supervisor(away.port, pauses=_LONG)
    with _logs("crash_report.delayed") as logged:
        supervisor.fail("a")
        await supervisor.was_away()
    assert 1 == len(logged)
    away.come()
    await supervisor.reports.finish(within=5)
    assert {"sent": 1} == supervisor.counts()


async def test_a_stop_does_not_wait_for_a_backend_that_is_away(away: _Backend) -> None:
    supervisor = _Supervisor(away.port, pauses=_LONG)
    supervisor.fail("a", "b")
    with _logs("crash_report.dropped") as logged:
        async with asyncio.timeout(5):
            await supervisor.reports.finish(within=60)
    assert {"dropped": 2} == supervisor.counts()
    assert ["stop"] * 2 == [entry["reason"] for entry in logged]


async def test_a_stop_does_not_wait_for_long_for_a_backend_that_hangs(there: _Backend) -> None:
    there.answers = False
    supervisor = _Supervisor(there.port)
    supervisor.fail("a", "b")
    await eventually(lambda: there.identifiers() == ["a"])
    with _logs("crash_report.failed", "crash_report.dropped") as logged:
        await supervisor.reports.finish(within=0.1)
    assert [("a", "CANCELLED"), ("b", "stop")] == [
        (entry["identifier"], entry.get("status") or entry["reason"]) for entry in logged
    ]
    assert {"failed": 1, "dropped": 1} == supervisor.counts()
