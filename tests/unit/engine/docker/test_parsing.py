"""Whatever is wrong with an Engine's answer, what comes of it is an error of the Engine's."""

import asyncio
import copy
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import Response
from structlog.testing import capture_logs

from service.app.metric_labels import new_metrics
from service.engine.configuration import Trait
from service.engine.docker.client import Client
from service.engine.docker.connection import Clients, Connection
from service.engine.docker.engine import DockerEngine
from service.engine.docker.error_mapping import translated_errors
from service.engine.docker.inspections import inspection
from service.engine.docker.legacy import LegacyContainers
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Status
from service.errors import EngineError, EngineFailed

SECRET = "s3cret"
ID = "a" * 64
LISTED = {
    "Id": ID,
    "Names": ["/timer"],
    "Image": "sha256:" + "b" * 64,
    "Labels": {"area.supervisor.identifier": SECRET},
    "State": "running",
    "Status": "Up",
    "Created": 1700000000,
}
INSPECTED = {
    "Id": ID,
    "State": {
        "Status": "exited",
        "Running": False,
        "Paused": False,
        "OOMKilled": False,
        "ExitCode": 1,
        "StartedAt": "2026-11-29T04:00:00.123456789Z",
        "FinishedAt": "2026-11-29T04:00:01Z",
    },
    "Config": {"Labels": {"a": SECRET}, "Cmd": ["--auth", SECRET], "Image": "x", "Tty": False},
}
RECORDED: dict[tuple[str, str], Any] = {
    ("GET", "/_ping"): "OK",
    ("GET", "/version"): {"ApiVersion": "1.41", "Version": "20.10"},
    ("GET", "/containers/json"): [LISTED, {**LISTED, "Id": "c" * 64}],
    ("GET", "/json"): INSPECTED,
    ("GET", "/logs"): "said",
    ("GET", "/top"): {"Processes": [["1", "docker-init"], ["7", "worker"]], "Titles": ["PID"]},
    ("GET", "/info"): {"SecurityOptions": ["name=seccomp"]},
    ("POST", "/create"): {"Id": ID, "Warnings": None},
    ("POST", "/start"): None,
    ("POST", "/stop"): None,
    ("DELETE", f"/{ID}"): None,
}
SPEC = WorkloadSpec(name="timer", image="image", arguments=["--auth", SECRET])

Answers = Callable[[str, str], tuple[int, bytes]]


def recorded(method: str, path: str) -> Any:
    """What an Engine has answered."""
    return next(a for (m, end), a in RECORDED.items() if m == method and path.endswith(end))


class Odd(Client):
    """A client whose Engine answers whatever a test says."""

    answers: Answers

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> Any:
        del args, options
        response = Response()
        response.status_code, content = self.answers(method, url.partition("?")[0])
        response.raw = BytesIO(content)
        response.url, response.encoding = url, "utf-8"
        return response


def clients(answers: Answers) -> Clients:
    connection = Connection("unix:///nowhere")
    client = Odd(connection.url, None, {})
    client.answers = answers
    made = Clients(connection)
    made.get = lambda: client  # type: ignore[method-assign]
    return made


def engine(answers: Answers) -> DockerEngine:
    made = DockerEngine(
        Connection("unix:///nowhere"),
        {"a": "b"},
        new_metrics([], version="test", engine="docker", mode="test"),
    )
    made._clients = made._calls._clients = clients(answers)
    return made


async def everything(one: DockerEngine) -> Sequence[EngineError]:
    """All that it can be asked; the errors."""
    calls = (
        one.ping(),
        one.ping(deep=True),
        one.leaving(),
        one.start(SPEC, timeout=1),
        one.inspect(ID),
        one.list(),
        one.names(),
        one.traits(),
        one.tail(ID, lines=1),
        one.remove(ID),
    )
    errors: list[EngineError] = []
    for call in calls:
        try:
            await call
        except EngineError as error:
            errors.append(error)
    await one.close()
    return errors


@pytest.mark.parametrize(
    ("options", "traits"),
    [
        (["name=seccomp,profile=default", "name=cgroupns"], set()),
        (["name=seccomp,profile=default", "name=rootless"], {Trait.ROOTLESS}),
        (["name=userns"], {Trait.USERNS_REMAP}),
    ],
)
async def test_docker_tells_its_traits_among_its_security_options(
    options: list[str], traits: set[Trait]
) -> None:
    one = engine(lambda _, __: (200, json.dumps({"SecurityOptions": options}).encode()))
    assert traits == await one.traits()
    await one.close()


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in an answer."""
    yield at
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, each in items:
        yield from paths(each, (*at, key))


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """An answer with something else in one place; `...` for nothing there."""
    if not at:
        return {} if new is ... else new
    value = copy.deepcopy(value)
    holder = value
    for key in at[:-1]:
        holder = holder[key]
    if new is ...:
        del holder[at[-1]]
    else:
        holder[at[-1]] = new
    return value


ODD = st.one_of(
    st.sampled_from(
        [..., None, True, 7, -7, 10**400, 1.5, "", SECRET, "0001-", [], [None], {}, {"a": 7}]
    ),
    st.text(max_size=5),
)
ODD_BODIES = st.one_of(
    st.sampled_from(
        [b"", b"<html>" + SECRET.encode(), b"{", b"\xff\xfe", b"[" * 99_999, b"null", b"7"]
    ),
    st.binary(max_size=30),
)
PLACES = [
    (asked, at)
    for asked, answer in RECORDED.items()
    if isinstance(answer, dict | list)
    for at in paths(answer)
]


def hears_no_secret(errors: Sequence[EngineError]) -> None:
    assert SECRET not in "".join(error.message for error in errors)


def body(answer: Any) -> bytes:
    return answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()


@given(place=st.sampled_from(PLACES), new=ODD)
def test_an_answer_that_is_odd_anywhere_is_at_most_an_error_of_the_engine(
    place: tuple[tuple[str, str], tuple[Any, ...]], new: Any
) -> None:
    (method, end), at = place

    def answers(asked: str, path: str) -> tuple[int, bytes]:
        answer = recorded(asked, path)
        if asked == method and path.endswith(end):
            answer = changed(answer, at, new)
        return 200, body(answer)

    with capture_logs() as logs:
        hears_no_secret(asyncio.run(everything(engine(answers))))
        with suppress(EngineError):
            legacy = LegacyContainers(Connection("unix:///nowhere"))
            legacy._clients = clients(answers)
            legacy.find(["x"], "ours")
    assert SECRET not in str(logs)


@given(content=ODD_BODIES, status=st.sampled_from([200, 201, 204, 400, 404, 409, 500, 503]))
def test_an_answer_of_whatever_bytes_is_at_most_an_error_of_the_engine(
    content: bytes, status: int
) -> None:
    with capture_logs():
        asyncio.run(everything(engine(lambda *_: (status, content))))


async def test_a_recorded_answer_is_read() -> None:
    one = engine(lambda method, path: (200, body(recorded(method, path))))
    assert [] == await everything(one)


@pytest.mark.parametrize(
    ("at", "new", "told"),
    [
        (("State", "Paused"), ..., "State.Paused: Field required"),
        (("State", "ExitCode"), SECRET, "State.ExitCode: Input should be a valid integer"),
        (("Config", "Cmd"), {"a": SECRET}, "Config.Cmd: Input should be a valid list"),
        (("Config", "Env"), {"a": SECRET}, "Config.Env: Input should be a valid list"),
        (("Config", "User"), 7, "Config.User: Input should be a valid string"),
        (("Config", "Labels"), {SECRET: 7}, "Config.Labels: Input should be a valid string"),
        (("State", "Status"), SECRET, "the state is unknown"),
        (("State", "StartedAt"), SECRET, "a time is invalid"),
    ],
)
async def test_what_cannot_be_read_is_told_by_its_place(at: Any, new: Any, told: str) -> None:
    one = engine(lambda *_: (200, body(changed(INSPECTED, at, new))))
    with pytest.raises(EngineFailed) as caught:
        await one.inspect(ID)
    assert (
        f"the Docker Engine's answer cannot be read: inspect for {ID}: {told}"
        == caught.value.message
    )


async def test_one_odd_container_in_a_list_harms_no_other_and_is_told_once() -> None:
    odd = [{**LISTED, "Id": "odd", "State": 7}, {**LISTED, "Id": None}, 7]
    one = engine(lambda *_: (200, body([*odd, LISTED])))
    with capture_logs() as logs:
        for _ in range(3):
            found = await one.list()
            assert [("odd", Status.UNKNOWN), (ID, Status.LIVE)] == [(w.id, w.status) for w in found]
    assert ["answer.unreadable"] * 3 == [log["event"] for log in logs]
    assert "container odd: State: " in logs[0]["error"]


@pytest.mark.parametrize("labels", [None, {}])
async def test_labels_that_are_null_are_none(labels: Any) -> None:
    one = engine(lambda *_: (200, body(changed(INSPECTED, ("Config", "Labels"), labels))))
    assert {} == (await one.inspect(ID)).labels


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ({"LogConfig": {"Type": "splunk", "Config": {"splunk-token": "t0ken"}}}, ("t0ken",)),
        ({"LogConfig": {"Type": "json-file", "Config": None}}, ()),
        ({"LogConfig": None}, ()),
        (None, ()),
    ],
)
def test_an_inspection_has_the_options_of_the_log(host: Any, options: tuple[str, ...]) -> None:
    seen = inspection({**INSPECTED, "HostConfig": host})
    assert options == seen.log_options
    assert "t0ken" not in repr(seen)


def test_our_own_errors_stay_what_they_are() -> None:
    with pytest.raises(AssertionError), translated_errors("list", ""):
        raise AssertionError
