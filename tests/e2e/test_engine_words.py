"""What the Engine says of a launch: told as what it is, and not as something else."""

import json
import re

import docker
import pytest

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support.agreement import agree
from tests.support.http_line import Fault, HttpLine, answers, requests, untouched

_LIMITS = "Your kernel does not support swap limit capabilities. Limitation discarded."


@pytest.mark.parametrize(
    "message",
    [
        "network area_default not found",
        "image with reference x was found but does not match the specified platform",
        "plugin volume-driver not found",
    ],
)
def test_a_404_at_create_that_is_about_something_else_is_no_missing_image(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient, message: str
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    meddled.failure = (404, message)
    meddled.meddle = requests("POST", "/create", Fault.REFUSED)
    error = supervised.launch("timer", "t-1").error
    assert 502 == error.code
    assert error.message.endswith(message)
    assert 422 == supervised.launch("missing", "m-1").error.code
    agree(supervised, docker_client)


def test_what_the_engine_warns_of_is_told_once(start: Start, meddled: HttpLine) -> None:
    supervised = start(DOCKER_HOST=meddled.host)

    def warn(body: bytes) -> bytes:
        return json.dumps(json.loads(body) | {"Warnings": [_LIMITS]}).encode()

    meddled.rewrite = answers("POST", "/create", warn)
    for identifier in ("s-1", "s-2"):
        assert Response() == supervised.launch("small", identifier)
    assert [_LIMITS] == [event["warning"] for event in supervised.events("engine.warned")]


@pytest.mark.parametrize(
    "conflict",
    [
        # What Docker says is known; this is what Podman does, with 409 in newer versions.
        lambda body: re.sub(
            rb'Conflict.*container \\"?([0-9a-f]{64})\\"?.*\.',
            rb"the container name is already in use by \1. You have to remove that container",
            body,
        ),
        lambda body: b'{"message": "that name is already in use"}' if b"Conflict" in body else body,
    ],
)
def test_a_start_that_fails_as_podmans_is_told_with_its_reason(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient, conflict: object
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    meddled.failure = (500, "crun: the cgroup does not exist")
    meddled.meddle = requests("POST", "/start", Fault.REFUSED)
    meddled.rewrite = answers("POST", "/create", conflict)  # type: ignore[arg-type]
    error = supervised.launch("timer", "t-1").error
    assert 502 == error.code
    assert error.message.endswith("crun: the cgroup does not exist")
    meddled.meddle = meddled.rewrite = untouched
    agree(supervised, docker_client)
    assert Response() == supervised.launch("timer", "t-1")
    agree(supervised, docker_client, "t-1")
