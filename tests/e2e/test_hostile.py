"""Clients that mean no good, or no longer know what they do: a clear error or a clean close."""

import json
import socket
import struct as binary
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import grpc
import pytest
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service._generated.area_types_pb2 import AuthenticatedJobData, Response
from tests.conftest import Start
from tests.support import containers, http2_line
from tests.support.supervised import Supervised, eventually, launch_request

_LAUNCH = "/area_supervisor.AreaSupervisorService/LaunchJob"
_ALLOWED = {0, 400, 404, 413}
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_EMPTY_SETTINGS = binary.pack(">I", 0)[1:] + b"\x04\x00" + b"\x00" * 4
_SOME = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
_FEW = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXTS = st.text(max_size=40) | st.text(st.characters(categories=["Cc", "Cf", "Co", "So"]))
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


def _values(depth: int) -> st.SearchStrategy[Value]:
    leaves = (
        st.builds(Value)
        | st.builds(Value, null_value=st.just(0))
        | st.builds(Value, bool_value=st.booleans())
        | st.builds(Value, number_value=NUMBERS)
        | st.builds(Value, string_value=TEXTS)
    )
    if not depth:
        return leaves
    inner = _values(depth - 1)
    lists = st.builds(ListValue, values=st.lists(inner, max_size=4))
    structs = st.builds(Struct, fields=st.dictionaries(TEXTS, inner, max_size=4))
    return leaves | st.builds(Value, list_value=lists) | st.builds(Value, struct_value=structs)


STRUCTS = st.builds(Struct, fields=st.dictionaries(TEXTS, _values(3), max_size=5))


def _is_well(supervised: Supervised) -> None:
    assert "SERVING" == supervised.health()
    assert (200, "alive\n") == supervised.http("/livez")
    told = {json.loads(line)["event"] for line in supervised.lines()}
    assert {"request.crashed", "background.crashed"}.isdisjoint(told)


@contextmanager
def _leaking_nothing(supervised: Supervised) -> Iterator[None]:
    """What was opened for whoever was here is closed again, in time."""
    assert supervised.process is not None
    folder = Path(f"/proc/{supervised.process.pid}/fd")
    before = len(list(folder.iterdir()))
    yield
    eventually(lambda: len(list(folder.iterdir())) <= before + 2, within=30)


@given(name=TEXTS, identifier=TEXTS, params=STRUCTS, auth=STRUCTS)
@_SOME
def test_whatever_a_request_holds_its_answer_is_clear(
    shared: Supervised, name: str, identifier: str, params: Struct, auth: Struct
) -> None:
    for each in (name, "nothing"):
        request = AuthenticatedJobData(name=each, identifier=identifier, params=params, auth=auth)
        error = shared.stub.LaunchJob(request, timeout=10).error
        assert error.code in _ALLOWED
        assert bool(error.code) == bool(error.message)
        assert len(error.message) < 1000
    assert [] == shared.jobs()
    _is_well(shared)


@given(
    identifier=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80),
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200),
)
@example(identifier="\u202e\u2066", text="'\"\\$(id)`id`\n--auth {}")
@_FEW
def test_whatever_may_be_launched_gets_what_was_sent(
    shared: Supervised, docker_client: docker.DockerClient, identifier: str, text: str
) -> None:
    if not identifier.strip():
        return
    assert Response() == shared.launch("timer", identifier, {"text": text})
    arguments = containers.arguments(containers.one(docker_client, identifier))
    assert ["--identifier", identifier] == arguments[2:4]
    assert ["--text", text] == arguments[6:8]
    assert Response() == shared.kill(identifier)


def _launch_nested(supervised: Supervised, depth: int) -> Response:
    call: Any = supervised.channel.unary_unary(
        "/area_supervisor.AreaSupervisorService/LaunchJob",
        response_deserializer=Response.FromString,
    )
    answer: Response = call(_nested(depth), timeout=10)
    return answer


def test_deep_nesting_is_taken(shared: Supervised) -> None:
    assert Response() == _launch_nested(shared, 40)


@pytest.mark.parametrize("depth", [60, 200, 5000])
def test_nesting_without_end_is_refused(shared: Supervised, depth: int) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        _launch_nested(shared, depth)
    assert grpc.StatusCode.INVALID_ARGUMENT is refused.value.code()
    _is_well(shared)


def _nested(depth: int) -> bytes:
    """A request with lists in lists: made by hand, since protobuf would not write it."""
    value = b""
    for _ in range(depth):
        items = b"\x0a" + _length(value) + value  # ListValue.values
        value = b"\x32" + _length(items) + items  # Value.list_value
    entry = b"\x0a\x01a\x12" + _length(value) + value
    struct = b"\x0a" + _length(entry) + entry
    return b"\x0a\x07nothing\x12\x03n-1\x1a" + _length(struct) + struct


def _length(data: bytes) -> bytes:
    number, varint = len(data), b""
    while number > 0x7F:
        varint += bytes([number & 0x7F | 0x80])
        number >>= 7
    return varint + bytes([number])


@given(data=st.binary(max_size=400), cleanly=st.booleans())
@example(data=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", cleanly=True)
@example(data=_HTTP2 + _EMPTY_SETTINGS + b"\xff" * 200, cleanly=True)
@example(data=_HTTP2 + _EMPTY_SETTINGS + b"\x00\x40\x00\x01\x04\x00\x00\x00\x01", cleanly=False)
@example(data=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64, cleanly=True)
@_SOME
def test_bytes_that_are_no_protocol_are_hung_up_on(
    shared: Supervised, data: bytes, *, cleanly: bool
) -> None:
    for port in (shared.port, shared.metrics_port):
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            with suppress(OSError):
                connection.sendall(data)
            if not cleanly:  # a reset in place of a goodbye
                linger = binary.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    _is_well(shared)


def test_a_path_that_crashes_grpc_costs_no_job(start: Start) -> None:
    supervised = start(SUPERVISOR_INSTANCE="crashed")  # beside the module's own
    assert Response() == supervised.launch("timer", "t-1")
    crash: Any = supervised.channel.unary_unary(b"/a/\xff\xfe")  # type: ignore[arg-type]
    for number in range(1, 3):
        with pytest.raises(grpc.RpcError):
            crash(b"", timeout=10)
        eventually(lambda: len(list(supervised.events("grpc.restarted"))) == number)  # noqa: B023
        eventually(supervised.is_ready, within=20)
    assert ["t-1"] == supervised.running()
    assert Response() == supervised.launch("timer", "t-1")
    assert 1 == supervised.scrape().sum("supervisor_dedups_total")
    assert Response() == supervised.kill_all()
    assert 0 == supervised.stop()


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        (b"x" * 9000, "x" * 512 + "…"),
        (b'quo"ted \\ back', 'quo"ted \\ back'),
        ("é\u202e\u2028".encode(), "é\u202e\u2028"),
        (b"two\nlines", "two\nlines"),
        (b"\x1b[2J\x07", "\x1b[2J\x07"),
        (b"caf\xe9 \xff", "café ÿ"),
        (b"", None),
    ],
)
def test_whatever_a_client_calls_itself_is_one_field_of_one_line(
    shared: Supervised, agent: bytes, told: str | None
) -> None:
    request = launch_request("unknown", "x").SerializeToString()
    http2_line.call(shared.port, _LAUNCH, request, (b"user-agent", agent))
    *_, refused = shared.events("request.failed")
    assert told == refused.get("user_agent")
    assert all(line.isprintable() for line in shared.lines())
    _is_well(shared)


def test_what_comes_beside_a_request_and_is_no_text_is_not_logged(shared: Supervised) -> None:
    """gRPC itself would, and it may be a token."""
    token = b"authorization", b"Bearer hunter2 \xff"
    http2_line.call(shared.port, _LAUNCH, launch_request("unknown", "x").SerializeToString(), token)
    assert list(shared.events("request.failed"))
    assert "hunter2" not in shared.log()


def test_garbage_leaks_nothing(shared: Supervised) -> None:
    with _leaking_nothing(shared):
        for number in range(200):
            with socket.create_connection(("127.0.0.1", shared.port), 5) as connection:
                connection.sendall(_HTTP2[: number % 25] + bytes([number]) * number)
    _is_well(shared)


def test_connections_that_say_nothing_keep_nobody_out(shared: Supervised) -> None:
    with _leaking_nothing(shared), ExitStack() as stack:
        for port in (shared.port, shared.metrics_port):
            for _ in range(150):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        began = time.monotonic()
        _is_well(shared)
        assert Response() == shared.launch("nothing", "n-1")
        assert time.monotonic() - began < 5
        assert shared.process is not None
        threads = list(Path(f"/proc/{shared.process.pid}/task").iterdir())
        assert len(threads) < 150  # and not one for each of them
    assert (200, "ready\n") == shared.http("/readyz")


def test_a_client_that_sends_a_byte_now_and_then_holds_up_nobody(shared: Supervised) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), 5) as slow:
        for byte in _HTTP2 + _EMPTY_SETTINGS:
            slow.sendall(bytes([byte]))
            time.sleep(0.01)
        _is_well(shared)


def test_calls_that_are_reset_leave_nothing_half_done(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    def call_and_hang_up(number: int) -> None:
        request: Any = AuthenticatedJobData(name="timer", identifier=f"t-{number % 20}")
        call = shared.stub.LaunchJob.future(request, timeout=30)
        time.sleep((number % 7) / 200)
        call.cancel()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(call_and_hang_up, range(300)))
    eventually(lambda: 0 == shared.metric("supervisor_jobs", state="starting"), within=30)
    eventually(lambda: shared.running() == containers.live(docker_client))
    assert len(set(shared.running())) == len(shared.running())
    in_progress = "supervisor_launches_in_progress"
    assert 0 == shared.metric(in_progress, state="under_way")
    assert 0 == shared.metric(in_progress, state="waiting")
    _is_well(shared)
