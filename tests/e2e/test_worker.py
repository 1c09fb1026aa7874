"""The example workers as processes: what they do where there is no collector, or a broken one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.backend import Backend, a_backend
from tests.support.collector import Collector, collecting
from tests.support.supervised import eventually, free_port

_ROOT = Path(__file__).parents[2]
_TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
_SPAN_ID = "b7ad6b7169203331"
_LAUNCHED = {"TRACEPARENT": f"00-{_TRACE_ID}-{_SPAN_ID}-01"}
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

# The flush takes a second at most; the rest is for a busy machine. SIGKILL would come after 5 s.
_END_SECONDS = 4.5

Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run() -> Iterator[Run]:
    """A function that starts a worker; `environment` is all that it gets besides."""
    with ExitStack() as stack:

        def run_one(*arguments: str, **environment: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "examples.worker", *arguments],
                env={"PATH": os.environ["PATH"]} | environment,
                cwd=_ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield run_one


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def _reaction(target: str) -> tuple[str, ...]:
    return ("send-message", "--target", target, "--identifier", "m-1", "--message", "Hello!")


def _action(target: str) -> tuple[str, ...]:
    return ("seconds-interval", "--target", target, "--identifier", "t-1", "--seconds", "0.1")


def _terminate(worker: subprocess.Popen[str]) -> float:
    """End a worker that has to exit with 0; how long it took."""
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert 0 == worker.wait(30)
    return time.monotonic() - began


# ---------------------------------------------------------------- without a collector


@pytest.mark.parametrize("environment", [{}, {_ENDPOINT: ""}, {"TRACEPARENT": "garbage"}], ids=str)
def test_without_a_collector_and_a_launch_the_callbacks_carry_a_trace_nevertheless(
    run: Run, listening: Backend, environment: dict[str, str]
) -> None:
    worker = run(*_reaction(listening.address), **environment)
    contexts = [listening.next_call().traceparent.split("-")[1:3]]
    assert 0 == worker.wait(30)
    run(*_action(listening.address), **environment)
    contexts += [listening.next_call().traceparent.split("-")[1:3] for _ in range(2)]
    assert 3 == len({trace_id for trace_id, _ in contexts})
    assert all(int(span_id, 16) for _, span_id in contexts)


def test_without_a_collector_a_reaction_continues_the_launch_and_an_action_does_not(
    run: Run, listening: Backend
) -> None:
    run(*_reaction(listening.address), **_LAUNCHED)
    _, trace_id, span_id, flags = listening.next_call().traceparent.split("-")
    assert (_TRACE_ID, "01") == (trace_id, flags)
    assert _SPAN_ID != span_id
    run(*_action(listening.address), **_LAUNCHED)
    assert _TRACE_ID not in listening.next_call().traceparent


def test_a_launch_that_nobody_keeps_stays_so_in_a_reaction(
    run: Run, listening: Backend, collector: Collector
) -> None:
    unsampled = {"TRACEPARENT": f"00-{_TRACE_ID}-{_SPAN_ID}-00", _ENDPOINT: collector.address}
    worker = run(*_reaction(listening.address), **unsampled)
    assert "00" == listening.next_call().traceparent.split("-")[3]
    assert 0 == worker.wait(30)
    assert [] == collector.spans()


# ---------------------------------------------------------------- with one


def test_an_action_sends_its_spans_while_it_runs(
    run: Run, listening: Backend, collector: Collector
) -> None:
    traced = _LAUNCHED | {_ENDPOINT: collector.address, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    worker = run(*_action(listening.address), **traced)
    eventually(lambda: len(collector.spans("timer-seconds-interval")) >= 2, within=30)
    assert worker.poll() is None
    links = {span.links for span in collector.spans()}
    assert {(f"{_TRACE_ID}:{_SPAN_ID}",)} == links


@contextmanager
def _broken(how: str) -> Iterator[str]:
    """The address of a collector that takes no spans."""
    if how == "hangs":
        with collecting(hangs=True) as collector:
            yield collector.address
    elif how == "accepts and says nothing":
        with socket.create_server(("127.0.0.1", 0)) as silent:
            yield f"http://127.0.0.1:{silent.getsockname()[1]}"
    elif how == "is down":
        yield f"http://127.0.0.1:{free_port()}"
    else:
        yield "http://no.such.host.invalid:4317"


@pytest.mark.parametrize("how", ["is down", "hangs", "accepts and says nothing", "has no address"])
def test_a_collector_that_takes_nothing_holds_nothing_up(
    run: Run, listening: Backend, how: str
) -> None:
    with _broken(how) as address:
        traced = _LAUNCHED | {_ENDPOINT: address, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        worker = run(*_reaction(listening.address), **traced)
        assert "OnReaction" == listening.next_call().method
        began = time.monotonic()
        assert 0 == worker.wait(30)
        assert time.monotonic() - began < _END_SECONDS
        worker = run(*_action(listening.address), **traced)
        for _ in range(10):  # a second, in which it has tried to send some
            assert "OnAction" == listening.next_call().method
        assert _terminate(worker) < _END_SECONDS
        assert "Traceback" not in worker.communicate()[0]


# ---------------------------------------------------------------- its end, and the backend


def test_sigterm_ends_an_action_at_once_and_its_last_spans_are_sent(
    run: Run, listening: Backend, collector: Collector
) -> None:
    worker = run(*_action(listening.address), **{_ENDPOINT: collector.address})
    call = listening.next_call()
    assert [] == collector.spans()
    assert _terminate(worker) < _END_SECONDS
    assert call.traceparent.split("-")[2] in {span.span_id for span in collector.spans()}


def test_sigterm_ends_a_worker_whose_backend_does_not_answer(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        worker = run(*_action(f"127.0.0.1:{silent.getsockname()[1]}"))
        silent.accept()  # it calls
        assert _terminate(worker) < _END_SECONDS


def test_a_backend_that_is_away_for_a_moment_misses_nothing(run: Run) -> None:
    port = free_port()
    worker = run(*_reaction(f"127.0.0.1:{port}"))
    assert worker.stdout is not None
    assert "message: Hello!\n" == worker.stdout.readline()
    with a_backend(port) as backend:
        assert "OnReaction" == backend.next_call().method
        assert 0 == worker.wait(30)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "the first argument has to be one of: seconds-interval, send-message"),
        (("--target", "t"), "the first argument has to be one of: seconds-interval, send-message"),
        (("send-message", "--target"), "the arguments are not pairs of --KEY VALUE"),
        (("send-message", "--identifier", "m-1"), "--target: is missing"),
        (("send-message", "--target", "t"), "--identifier: is missing"),
    ],
    ids=str,
)
def test_a_worker_that_cannot_tell_the_backend_says_why_in_one_line(
    run: Run, arguments: tuple[str, ...], told: str
) -> None:
    worker = run(*arguments)
    assert f"error: {told}\n" == worker.communicate(timeout=30)[0]
    assert 2 == worker.returncode
