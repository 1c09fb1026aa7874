"""What bad input gets: an error in the answer that names the field, and nothing launched."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import docker
import grpc
import pytest

from service._generated.area_types_pb2 import Response
from tests.support import containers
from tests.support.supervised import Supervised

_KIBIBYTES_128 = 131_072


def _assert_nothing_is_left(supervised: Supervised, client: docker.DockerClient) -> None:
    assert [] == supervised.jobs()
    assert [] == containers.everything(client)


@pytest.mark.parametrize(
    ("identifier", "word"),
    [
        ("", "empty"),
        ("   ", "blank"),
        ("\t", "blank"),
        ("\u0085", "blank"),
        ("\u00a0\u2003", "blank"),
        ("a\0b", "NUL"),
    ],
)
def test_an_identifier_that_is_no_identifier(
    shared: Supervised, docker_client: docker.DockerClient, identifier: str, word: str
) -> None:
    answer = shared.launch("timer", identifier)
    assert 400 == answer.error.code
    assert answer.error.message.startswith("identifier: ")
    assert word in answer.error.message
    _assert_nothing_is_left(shared, docker_client)


@pytest.mark.parametrize(
    "identifier", ["", " ", "\t", "a\n", "\u0085", "\0", "x" * 600, "é" * 1_000_000]
)
def test_a_kill_of_what_cannot_run_is_a_success(shared: Supervised, identifier: str) -> None:
    def not_running() -> float:
        return shared.metric("supervisor_kills_total", outcome="not_running")

    before = not_running()
    assert Response() == shared.kill(identifier)
    assert before + 1 == not_running()


def test_a_job_without_an_image_succeeds_whatever_it_asks_for(shared: Supervised) -> None:
    for identifier, value in (("", 1), ("a\0", "\0"), ("x" * 200_000, float("nan"))):
        asked = {"p": value, "no name": 1}
        assert Response() == shared.launch("nothing", identifier, asked, {"p": value})


@pytest.mark.parametrize(
    "identifier", ["x", "x" * 512, "🚀" * 512, "a b", " padded ", "-", "..", "--auth", "$(id)", "/"]
)
def test_an_identifier_that_is_odd_but_allowed(
    shared: Supervised, docker_client: docker.DockerClient, identifier: str
) -> None:
    assert Response() == shared.launch("timer", identifier)
    assert [identifier] == shared.running()
    arguments = containers.arguments(containers.one(docker_client, identifier))
    assert ["--identifier", identifier] == arguments[2:4]
    assert Response() == shared.launch("timer", identifier)
    assert Response() == shared.kill(identifier)
    _assert_nothing_is_left(shared, docker_client)


@pytest.mark.parametrize(
    "name", ["Timer", "timer ", "timer\n", "unknown", "x" * 100_000, "nul\0", "é", "../timer"]
)
def test_an_unknown_name(shared: Supervised, docker_client: docker.DockerClient, name: str) -> None:
    answer = shared.launch(name, "x-1")
    assert 404 == answer.error.code
    assert answer.error.message.startswith("name: ")
    assert len(answer.error.message) < 500
    _assert_nothing_is_left(shared, docker_client)


@pytest.mark.parametrize("name", ["", " ", "\t\n", "\u00a0"])
def test_a_launch_without_a_name(
    shared: Supervised, docker_client: docker.DockerClient, name: str
) -> None:
    answer = shared.launch(name, "x-1")
    told = "name: is empty or blank; give the name of a job of the catalogue"
    assert (400, told) == (answer.error.code, answer.error.message)
    _assert_nothing_is_left(shared, docker_client)


@pytest.mark.parametrize(
    "key",
    ["", "1st", "-x", ".x", "two words", "a=b", "é", "a\n", "a\0", "a/b", "--x", "a" * 10 + "!"],
)
def test_a_parameter_name_that_is_none(
    shared: Supervised, docker_client: docker.DockerClient, key: str
) -> None:
    for value in ("value", None):
        answer = shared.launch("timer", "x-1", {"fine": 1, key: value})
        assert 400 == answer.error.code
        assert answer.error.message.startswith("params: ")
        assert repr(key) in answer.error.message
    _assert_nothing_is_left(shared, docker_client)


@pytest.mark.parametrize("key", ["identifier", "target", "auth"])
def test_a_parameter_that_the_supervisor_sets_itself(
    shared: Supervised, docker_client: docker.DockerClient, key: str
) -> None:
    answer = shared.launch("timer", "x-1", {key: "mine"})
    assert 400 == answer.error.code
    assert answer.error.message.startswith(f"params: {key!r}")
    _assert_nothing_is_left(shared, docker_client)


def test_parameter_names_that_are_allowed(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    names = ["A", "Identifier", "_", "_x.y-z", "a1", "auth2", "x" * 1000]
    assert Response() == shared.launch("timer", "x-1", dict.fromkeys(names, "1"))
    arguments = containers.arguments(containers.one(docker_client, "x-1"))
    assert [f"--{name}" for name in sorted(names)] == arguments[6::2]


@pytest.mark.parametrize("field", ["params", "auth"])
@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("a\0b", "NUL"),
        ([["deep", "\0"]], "NUL"),
        ({"deep": {"k\0": 1}}, "NUL"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ({"deep": [1, float("-inf")]}, "-inf"),
    ],
)
def test_a_value_that_no_argument_can_carry(
    shared: Supervised, docker_client: docker.DockerClient, field: str, value: Any, word: str
) -> None:
    both: dict[str, Mapping[str, Any]] = {"params": {"p": 1}, "auth": {}, field: {"key": value}}
    answer = shared.launch("timer", "x-1", **both)
    assert 400 == answer.error.code
    assert answer.error.message.startswith(f"{field}: ")
    assert word in answer.error.message
    _assert_nothing_is_left(shared, docker_client)


def test_an_argument_at_the_kernels_limit_runs_and_one_byte_more_is_too_large(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    largest = "x" * (_KIBIBYTES_128 - 1)
    assert Response() == shared.launch("timer", "fits", {"text": largest})
    assert "running" == containers.one(docker_client, "fits").status
    assert Response() == shared.kill("fits")
    answer = shared.launch("timer", "big", {"fine": 1, "text": largest + "x"})
    assert 413 == answer.error.code
    assert "text" in answer.error.message
    assert 413 == shared.launch("timer", "big", {"text": "é" * (_KIBIBYTES_128 // 2)}).error.code
    _assert_nothing_is_left(shared, docker_client)


def test_too_large_credentials_are_named_and_not_shown(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    answer = shared.launch("timer", "big", {}, {"token": "s3cret" * 30_000})
    assert 413 == answer.error.code
    assert answer.error.message.startswith("auth: ")
    assert "s3cret" not in answer.error.message
    _assert_nothing_is_left(shared, docker_client)


def test_arguments_that_fit_one_by_one_but_not_together(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    answer = shared.launch("timer", "big", {f"p{n}": "x" * 120_000 for n in range(30)})
    assert 413 == answer.error.code
    assert "params" in answer.error.message
    _assert_nothing_is_left(shared, docker_client)


def test_arguments_close_to_the_limit_of_all_of_them_run(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    params = {f"p{n}": "x" * 120_000 for n in range(8)}
    assert Response() == shared.launch("timer", "large", params)
    assert "running" == containers.one(docker_client, "large").status


def test_a_request_beyond_what_grpc_takes_by_default_is_too_large_like_any_other(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    answer = shared.launch("timer", "big", {"text": "x" * 5_000_000})
    assert 413 == answer.error.code
    assert "text" in answer.error.message
    _assert_nothing_is_left(shared, docker_client)


def test_many_small_parameters(shared: Supervised, docker_client: docker.DockerClient) -> None:
    answer = shared.launch("timer", "many", {f"p{n:06}": True for n in range(60_000)})
    assert 413 == answer.error.code
    _assert_nothing_is_left(shared, docker_client)


def test_the_first_fault_is_told_and_counted(shared: Supervised) -> None:
    def failures(job: str, reason: str) -> float:
        return shared.metric(
            "supervisor_failures_total", job_name=job, operation="launch", reason=reason
        )

    before = (failures("timer", "invalid"), failures("unknown", "unknown_job"))
    shared.launch("timer", "")
    shared.launch("timer", "x", {"y": "x" * _KIBIBYTES_128})
    shared.launch("made-up-by-a-client", "x")
    after = (failures("timer", "invalid"), failures("unknown", "unknown_job"))
    assert (before[0] + 2, before[1] + 1) == after
    assert "made-up-by-a-client" not in shared.http("/metrics")[1]


def _raw(supervised: Supervised, method: str) -> Callable[..., bytes]:
    path = f"/area_supervisor.AreaSupervisorService/{method}"
    return cast("Callable[..., bytes]", supervised.channel.unary_unary(path))


def test_bytes_that_are_no_message_harm_nothing(shared: Supervised) -> None:
    call = _raw(shared, "LaunchJob")
    with pytest.raises(grpc.RpcError) as raised:
        call(b"\xff\xff\xff\xff", timeout=10)
    assert grpc.StatusCode.INVALID_ARGUMENT == raised.value.code()
    assert Response() == shared.launch("nothing", "n-1")
    assert all(line.startswith("{") for line in shared.lines())


def test_half_a_character_makes_a_request_that_cannot_be_read(shared: Supervised) -> None:
    half = "ab\ud83d".encode(errors="surrogatepass")  # as protobuf.js sends it
    for method, field in (("LaunchJob", 2), ("KillJob", 1)):
        with pytest.raises(grpc.RpcError) as raised:
            _raw(shared, method)(bytes([field << 3 | 2, len(half)]) + half, timeout=10)
        assert grpc.StatusCode.INVALID_ARGUMENT == raised.value.code()
        assert "the request cannot be read" == raised.value.details()


def test_a_method_that_is_not_there_is_counted_as_other(shared: Supervised) -> None:
    before = shared.metric("grpc_server_call_started_total", grpc_method="other")
    call = _raw(shared, "Nonsense")
    with pytest.raises(grpc.RpcError) as raised:
        call(b"", timeout=10)
    assert grpc.StatusCode.UNIMPLEMENTED == raised.value.code()
    after = shared.metric("grpc_server_call_started_total", grpc_method="other")
    assert 1 == after - before
    assert "Nonsense" not in shared.http("/metrics")[1]
