"""An Engine, or what stands before it, that answers what cannot be read."""

import json
from collections.abc import Callable
from typing import Any

import docker
import pytest

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.agreement import agree, await_fall, await_return, compare, exits
from tests.support.http_line import HttpLine, answers, untouched
from tests.support.supervised import eventually

Edit = Callable[[dict[str, Any]], object]


def _of_odd(edit: Edit) -> Callable[[bytes], bytes]:
    """An answer in which what is about the container `odd` is edited."""

    def rewrite(body: bytes) -> bytes:
        answer = json.loads(body)
        for each in answer if isinstance(answer, list) else [answer]:
            if "/odd" in (each.get("Name"), *each.get("Names", ())):
                edit(each)
        return json.dumps(answer).encode()

    return rewrite


@pytest.mark.parametrize(
    "edit",
    [
        lambda item: item.update(State=7),
        lambda item: item.update(Labels=["a"]),
        lambda item: item.pop("Id"),
    ],
)
def test_a_list_with_one_odd_container_harms_no_other(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient, edit: Edit
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    for identifier in ("odd", "good", "gone"):
        assert Response() == supervised.launch("timer", identifier)
    meddled.rewrite = answers("GET", "/containers/json", _of_odd(edit))
    for _ in range(2):
        meddled.cut()
        await_fall(supervised)
        containers.one(docker_client, "gone").kill()
        meddled.mend()
        await_return(supervised)
        eventually(lambda: ["good", "odd"] == supervised.running())
        assert Response() == supervised.launch("timer", "gone")
    assert 1 == len(list(supervised.events("answer.unreadable")))
    agree(supervised, docker_client, "good", "gone", "odd")
    assert {"lost": 2} == exits(supervised)


@pytest.mark.parametrize(
    "edit",
    [
        lambda seen: seen["State"].pop("Paused"),
        lambda seen: seen["State"].update(ExitCode="1"),
        lambda seen: seen.update(Config=[]),
    ],
)
def test_a_container_that_is_odd_when_looked_at_harms_no_other(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient, edit: Edit
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    for identifier in ("odd", "good"):
        assert Response() == supervised.launch("timer", identifier)
    meddled.rewrite = answers("GET", "/json", _of_odd(edit))
    containers.one(docker_client, "odd").kill()
    containers.one(docker_client, "good").kill()
    eventually(lambda: [] == supervised.running())
    eventually(lambda: 1 == supervised.metric("supervisor_jobs", state="exited"))
    assert Response() == supervised.launch("timer", "good")
    assert "SERVING" == supervised.health()
    meddled.rewrite = untouched
    compare(supervised, meddled)
    eventually(lambda: supervised.has_only("good"), within=60)
    agree(supervised, docker_client, "good")


@pytest.mark.parametrize("body", [b"{}", b"<html>a proxy's page</html>"])
def test_a_create_whose_answer_cannot_be_read_is_a_502_and_leaves_nothing(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient, body: bytes
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    meddled.rewrite = answers("POST", "/create", lambda _: body)
    error = supervised.launch("timer", "t-1").error
    assert 502 == error.code
    assert "answer cannot be read: create" in error.message
    meddled.rewrite = untouched
    agree(supervised, docker_client)
    assert Response() == supervised.launch("timer", "t-1")
    agree(supervised, docker_client, "t-1")


def test_a_page_in_place_of_each_answer_is_an_engine_that_is_away(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    assert Response() == supervised.launch("timer", "t-1")
    meddled.rewrite = lambda *_: lambda _: b"<html>log in first</html>"
    await_fall(supervised)
    meddled.rewrite = untouched
    await_return(supervised)
    agree(supervised, docker_client, "t-1")
    assert {} == exits(supervised)
