"""What a manager's words mean, and what a task's state means for a launch."""

import re

import pytest
import requests
from docker.errors import APIError

from observability.redaction.redactor import Redactor
from service.engine.swarm.errors import (
    StaleVersion,
    has_begun,
    lacks_image,
    no_node_is_there,
    no_room,
    refused,
    too_slow,
    translated_errors,
    waits_for_node,
)
from service.errors import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineUnavailable,
    NameTaken,
    NoSuchWorkload,
)
from tests.unit.engine.swarm.objects import a_task

_NO_LEADER = (
    "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few"
    " managers are online. Make sure more than half of the managers are online."
)


def _raised(operation: str, status: int, words: str, secret: str = "") -> BaseException:
    response = requests.Response()
    response.status_code = status
    with (
        pytest.raises((EngineError, StaleVersion)) as caught,
        translated_errors(operation, "a-1", Redactor(secret)),
    ):
        raise APIError("error", response, words)
    return caught.value


@pytest.mark.parametrize(
    ("operation", "status", "words", "kind"),
    [
        ("list", 500, _NO_LEADER, EngineUnavailable),
        (
            "create",
            404,  # which is no missing image
            f"could not find the corresponding predefined swarm network: {_NO_LEADER}",
            EngineUnavailable,
        ),
        ("create", 500, "rpc error: desc = context deadline exceeded", EngineUnavailable),
        (
            "list",
            503,
            "This node is not a swarm manager. Manager is being prepared or has trouble connecting",
            EngineUnavailable,
        ),
        (
            "create",
            409,
            "rpc error: code = AlreadyExists desc = name conflicts with an existing object",
            NameTaken,
        ),
        ("stop", 500, "rpc error: code = Unknown desc = update out of sequence", StaleVersion),
        ("create", 500, "network nope not found", EngineRefused),
        ("create", 400, "name must be valid as a DNS name component", EngineRefused),
        ("inspect", 404, "service a-1 not found", NoSuchWorkload),
        ("list", 404, "service a-1 not found", NoSuchWorkload),
        ("create", 500, "something else", EngineFailed),
        ("stop", 500, "desc = raft: raft message is too large and can't be sent", EngineFailed),
    ],
)
def test_what_a_manager_answers(
    operation: str, status: int, words: str, kind: type[Exception]
) -> None:
    assert kind is type(_raised(operation, status, words))


def test_a_network_that_the_swarm_lacks_is_refused_with_what_helps() -> None:
    words = (
        "The network bridge cannot be used with services. Only networks scoped to the swarm can be"
        " used, such as those created with the overlay driver."
    )
    for status, told_so in ((403, words), (500, "network nope not found")):
        error = str(_raised("create", status, told_so))
        assert "(make it with `docker network create --driver overlay`)" in error


def test_no_secret_is_told() -> None:
    error = _raised("create", 400, "invalid: s3cret", "s3cret")
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    ("state", "err", "begun"),
    [
        ("running", "", True),
        ("complete", "", True),
        ("shutdown", "", True),
        ("failed", "task: non-zero exit (3)", True),
        ("failed", "starting container failed: no such network", False),
        ("rejected", "No such image: x:latest", False),
        ("starting", "", False),
        ("pending", "no suitable node (insufficient resources on 1 node)", False),
    ],
)
def test_whether_a_program_has_begun(state: str, err: str, begun: bool) -> None:
    assert begun == has_begun(a_task(state, err=err))


def test_a_missing_image_is_told_from_another_refusal() -> None:
    assert lacks_image(a_task("rejected", err="No such image: x:latest"))
    assert not lacks_image(a_task("rejected", err="invalid mount config for type"))
    assert "invalid mount" in str(refused("a-1", a_task("rejected", err="invalid mount config")))


@pytest.mark.parametrize(
    ("words", "helps"),
    [
        ("insufficient resources on 1 node", "lower the job's `memory_reservation`"),
        ("scheduling constraints not satisfied on 3 nodes", "change the job's `placement`"),
        ("2 nodes not available for new tasks", "`docker node ls` shows which"),
        ("max replicas per node limit exceed", ""),
    ],
)
def test_a_task_that_waits_for_a_node_says_why_and_what_helps(words: str, helps: str) -> None:
    task = a_task("pending", err=f"no suitable node ({words})")
    assert waits_for_node(task)
    assert not waits_for_node(a_task("pending"))
    error = no_room("a-1", task)
    assert 429 == error.code
    assert words in error.message
    assert helps in error.message


@pytest.mark.parametrize(
    ("words", "none_there"),
    [
        ("no suitable node (1 node not available for new tasks)", True),
        ("no suitable node (5 nodes not available for new tasks)", True),
        ("no suitable node (1 node not available for new tasks; insufficient resources)", False),
        ("no suitable node (insufficient resources on 1 node)", False),
    ],
)
def test_nodes_that_are_not_there_are_told_from_nodes_without_room(
    words: str, *, none_there: bool
) -> None:
    task = a_task("pending", err=words)
    assert waits_for_node(task)
    assert none_there == no_node_is_there(task)


def test_what_a_node_has_refused_names_it_and_no_secrets() -> None:
    task = a_task("rejected", err="invalid mount config: s3cret")
    message = str(refused("a-1", task, "node-2", Redactor("s3cret")))
    assert "could not start a-1 on node-2: invalid mount config" in message
    assert "s3cret" not in message


@pytest.mark.parametrize(
    ("state", "node", "message"),
    [
        ("new", "", r"its task is new \(its network may have no address left"),
        ("preparing", "node-2", r"its task is preparing on node-2 \(the node pulls the image"),
        ("pending", "", "its task is pending$"),
    ],
)
def test_a_launch_that_takes_too_long_says_what_its_task_waits_for(
    state: str, node: str, message: str
) -> None:
    error = str(too_slow("a-1", a_task(state), node))
    assert re.search(f"took too long to start a-1: {message}", error)


def test_a_launch_that_takes_too_long_may_have_no_task() -> None:
    assert str(too_slow("a-1")).endswith("took too long to start a-1")
