"""The clients of examples/clients, for Node and for Python, on a real supervisor.

tests/e2e/test_restart.py has them wait for one, and tests/test_readme.py runs them as they are.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import docker
import grpc
import pytest

from examples.clients import supervisor as python
from service._generated.area_supervisor_pb2 import Job
from service._generated.area_types_pb2 import Error, Response
from tests.support import containers, node
from tests.support.supervised import Supervised, free_port

_DEADLINE = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]

# A call is the method's name in the example for Node, and what it takes there; what came of it is
# {"gave": …} or {"error": the class, "code": …, "message": …}.
Calls = list[tuple[Any, ...]]
Told = list[dict[str, Any]]
Ask = Callable[..., Told]


def _with_node(address: str, calls: Calls, *, seconds: float = 60) -> Told:
    wanted = {"address": address, "seconds": seconds, "calls": calls}
    told: Told = node.told("client.js", wanted, within=60)
    return told


def _with_python(address: str, calls: Calls, *, seconds: float = 60) -> Told:
    with closing(python.Supervisor(address, seconds=seconds)) as client:
        return [_told_by(client, *call) for call in calls]


def _told_by(client: python.Supervisor, method: str, *given: Any) -> dict[str, Any]:
    call: Any = client.kill_all if method == "killAll" else getattr(client, method)
    try:
        gave = call(**given[0]) if method == "launch" else call(*given)
    except python.SupervisorError as error:
        return {"error": "SupervisorError", "code": error.code, "message": str(error)}
    except grpc.RpcError as error:
        status: Any = error
        return {"error": "gRPC", "code": status.code().value[0], "message": status.details()}
    return {"gave": [_plain(job) for job in gave] if method == "jobs" else gave}


def _plain(job: Job) -> dict[str, str]:
    return {"name": job.name, "identifier": job.identifier, "status": job.status}


both = pytest.mark.parametrize("ask", [_with_node, _with_python], ids=["node", "python"])


def _launch(identifier: str, name: str = "timer", **more: Any) -> tuple[str, dict[str, Any]]:
    return "launch", {"name": name, "identifier": identifier, **more}


@pytest.fixture
def address(shared: Supervised) -> str:
    return f"127.0.0.1:{shared.port}"


_PARAMS = {
    "text": 'it\'s "quoted" \U0001f389',
    "number": 5,
    "fraction": 0.5,
    "yes": True,
    "nothing": None,
    "list": [1, "two", [None, False]],
    "object": {"a": {"b": []}},
}
_ARGUMENTS = {
    "--text": 'it\'s "quoted" \U0001f389',
    "--number": "5",
    "--fraction": "0.5",
    "--yes": "true",
    "--list": '[1,"two",[null,false]]',
    "--object": '{"a":{"b":[]}}',
    "--auth": '{"access_token":"hunter2"}',
}


@both
def test_values_of_every_sort_reach_the_worker(
    ask: Ask, address: str, docker_client: docker.DockerClient
) -> None:
    auth = {"access_token": "hunter2"}
    assert [{"gave": None}] == ask(address, [_launch("v-1", params=_PARAMS, auth=auth)])
    given = iter(containers.arguments(containers.one(docker_client, "v-1")))
    pairs = dict(zip(given, given, strict=True))
    assert _ARGUMENTS == {key: pairs[key] for key in _ARGUMENTS}
    assert "--nothing" not in pairs


def test_a_plain_object_is_dropped_by_the_stock_loader(
    address: str, docker_client: docker.DockerClient
) -> None:
    """Which is why the example converts."""
    request = {"name": "timer", "identifier": "p-1", "params": {"seconds": 5}}
    assert [{"gave": {}}] == _with_node(address, [("plain", request)])
    assert "--seconds" not in containers.arguments(containers.one(docker_client, "p-1"))


def test_what_a_struct_cannot_hold_is_an_error_and_is_not_dropped(
    shared: Supervised, address: str
) -> None:
    kinds = {"bigint": "BigInt", "date": "Date", "function": "Function", "hole": "undefined"}
    told = _with_node(address, [("odd", kind) for kind in kinds])
    assert [f"a parameter cannot be a {name}" for name in kinds.values()] == [
        each["message"] for each in told
    ]
    with closing(python.Supervisor(address)) as client, pytest.raises(ValueError, match="type"):
        client.launch("timer", "x", {"odd": datetime.now(UTC)})
    assert [] == shared.jobs()


@both
def test_they_list_and_kill_and_ask_for_health(ask: Ask, address: str) -> None:
    running = [
        {"name": "timer", "identifier": identifier, "status": "running"}
        for identifier in ("k-1", "k-2", "k-3")
    ]
    calls: Calls = [
        ("health",),
        ("health", "liveness"),
        ("jobs",),
        *[_launch(each["identifier"]) for each in running],
        ("jobs",),
        ("kill", "k-1"),
        ("jobs",),
        ("killAll",),
        ("jobs",),
    ]
    gave = ["SERVING", "SERVING", [], None, None, None, running, None, running[1:], None, []]
    assert [{"gave": each} for each in gave] == ask(address, calls)


@both
def test_an_error_in_an_answer_is_raised_with_its_code(ask: Ask, address: str) -> None:
    calls = [_launch("x", "unheard-of"), _launch("", "timer"), _launch("x", "missing")]
    told = ask(address, calls)
    assert ["SupervisorError"] * 3 == [each["error"] for each in told]
    assert [404, 400, 422] == [each["code"] for each in told]
    assert told[0]["message"].startswith("404 name: 'unheard-of' is not a job of the catalogue")


@both
def test_each_launch_has_a_key_of_its_own_unless_it_is_given_one(
    ask: Ask, address: str, docker_client: docker.DockerClient
) -> None:
    keyed = _launch("m-1", "mail", key=str(uuid4()))
    assert [{"gave": None}] * 4 == ask(address, [keyed, keyed, *[_launch("m-2", "mail")] * 2])
    assert 1 == len(containers.of(docker_client, "m-1"))
    keys = [
        each.labels["area.supervisor.idempotency-key"]
        for each in containers.of(docker_client, "m-2")
    ]
    assert 2 == len(set(keys))


@both
def test_a_call_ends_with_its_deadline_where_nobody_listens(ask: Ask) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    told = ask(nowhere, [_launch("x"), ("jobs",), ("health",)], seconds=0.3)
    assert [_DEADLINE] * 3 == [each["code"] for each in told]


class _Stopping:
    """Refuses its first launch, and answers the next as it should."""

    def __init__(self, refuse: Callable[[Any], Response]) -> None:
        self.keys: list[str] = []
        self._refuse = refuse
        launch: Any = grpc.unary_unary_rpc_method_handler(
            self._launch, response_serializer=Response.SerializeToString
        )
        self.handler = grpc.method_handlers_generic_handler(
            "area_supervisor.AreaSupervisorService", {"LaunchJob": launch}
        )

    def _launch(self, _: bytes, context: Any) -> Response:
        self.keys.append(dict(context.invocation_metadata())["idempotency-key"])
        return self._refuse(context) if len(self.keys) == 1 else Response()


def _in_band(_: Any) -> Response:
    return Response(error=Error(code=503))


def _cancelled(context: Any) -> Response:
    context.abort(grpc.StatusCode.CANCELLED, "")
    raise AssertionError


@pytest.fixture(params=[_in_band, _cancelled])
def stopping(request: pytest.FixtureRequest) -> Iterator[tuple[str, _Stopping]]:
    with ThreadPoolExecutor(1) as pool:
        server, service = grpc.server(pool), _Stopping(request.param)
        server.add_generic_rpc_handlers([service.handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}", service
        server.stop(None).wait()


@both
def test_a_launch_that_a_stopping_supervisor_refuses_is_tried_again_with_its_key(
    ask: Ask, stopping: tuple[str, _Stopping]
) -> None:
    address, service = stopping
    (told,) = ask(address, [_launch("m-1", "mail")])
    assert not told.get("error"), told
    first, second = service.keys
    assert first == second
