"""Makes our errors of a manager's answers, and of tasks that do not run.

A manager passes on the errors of SwarmKit. moby turns their codes into statuses that say little, so
the texts decide. These were seen on 20.10, or found in moby (daemon/cluster) and in SwarmKit.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from docker.errors import APIError

from observability.redaction.redactor import NO_SECRETS, Redactor
from service.engine.swarm.answers import Task, TaskState
from service.engine.swarm.names import SWARM_TITLE
from service.errors import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    ImageMissing,
    NameTaken,
    NoRoom,
    NoSuchWorkload,
)

# No quorum, an election, or a manager that is starting. The request may have been carried out.
_LEADERLESS = (
    "does not have a leader",
    "no leader",
    "losing leader status",
    "leadership",
    "lost leader",
    "context deadline exceeded",
    "context canceled",
    "code = Unavailable",
    "Manager is being prepared",
    "raft: ",
    "can't initialize raft node",
)
# An earlier version of the supervisor may have launched such a service. Waiting does not help.
_TOO_LARGE = "raft message is too large"
_STALE = "update out of sequence"
_NO_IMAGE = ("No such image", "manifest unknown", "pull access denied", "repository does not exist")
_NO_NODE = "no suitable node"
_NONE_THERE = re.compile(r"no suitable node \(\d+ nodes? not available for new tasks\)")
# A manager answers 500 if the network of a service does not exist.
_NO_NETWORK = re.compile("network .+ not found")
# Advice, by the text of an error. The first match counts.
_HELPS = {
    "Only networks scoped to the swarm can be used|network .+ not found": (
        "make it with `docker network create --driver overlay`"
    ),
    "scheduling constraints not satisfied": (
        "give a node the label (`docker node update --label-add`), or change the job's `placement`"
    ),
    "insufficient resources": "add a node, or lower the job's `memory_reservation`",
    "not available for new tasks": "`docker node ls` shows which are down, drained or paused",
}
# What a task may wait for, by its state.
_WAITS = {
    TaskState.NEW: (
        "its network may have no address left: make one with a larger `--subnet`; or the managers"
        " are busy"
    ),
    TaskState.ASSIGNED: "the node does nothing about it: check Docker on that node",
    TaskState.ACCEPTED: "the node does nothing about it: check Docker on that node",
    TaskState.PREPARING: (
        "the node pulls the image, makes a volume, or has no address in the network of the job"
    ),
    TaskState.STARTING: "the node's containerd hangs, or the image has a HEALTHCHECK that fails",
}


class StaleVersion(Exception):
    """Somebody has changed the service meanwhile; read it again."""


@contextmanager
def translated_errors(operation: str, target: str, redact: Redactor = NO_SECRETS) -> Iterator[None]:
    """Turn errors of a manager into `EngineError`s. `target` names the object in messages."""
    try:
        yield
    except APIError as error:
        raise _from_answer(operation, target, error, redact) from None


def _from_answer(  # noqa: PLR0911 - a case, a return
    operation: str, target: str, error: APIError, redact: Redactor
) -> Exception:
    words = str(error.explanation or error)
    text = redact(words)
    status = error.status_code or 0
    if _TOO_LARGE not in words and any(phrase in words for phrase in _LEADERLESS):
        # Also with 404, if a launch asks for the host's network.
        return EngineUnavailable(f"the {SWARM_TITLE} has no leader at the moment: {text}")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return EngineUnavailable(f"the {SWARM_TITLE} cannot be reached: {text}")
    if _STALE in words:
        return StaleVersion(text)
    if operation == "create" and status == HTTPStatus.CONFLICT:
        return NameTaken(f"the service's name is taken: {text}")
    if operation != "create" and status == HTTPStatus.NOT_FOUND:
        return NoSuchWorkload(f"service {target}: does not exist")
    about = f"{operation} for {target}" if target else operation
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not _NO_NETWORK.search(words):
        return EngineFailed(f"the {SWARM_TITLE} failed: {about}: {text}")
    return EngineRefused(f"the {SWARM_TITLE} refused: {about}: {_with_help(text)}")


def _with_help(text: str) -> str:
    helps = next((helps for words, helps in _HELPS.items() if re.search(words, text)), None)
    return f"{text} ({helps})" if helps else text


def lacks_image(task: Task) -> bool:
    """Whether its node has refused it, since the node lacks the image and could not pull it."""
    return task.state is TaskState.REJECTED and any(words in task.Status.Err for words in _NO_IMAGE)


def waits_for_node(task: Task) -> bool:
    """Whether no node can take it at the moment."""
    return task.state is TaskState.PENDING and task.Status.Err.startswith(_NO_NODE)


def no_node_is_there(task: Task) -> bool:
    """Whether each node is down, not known yet, drained or paused."""
    return bool(_NONE_THERE.fullmatch(task.Status.Err))


def has_begun(task: Task) -> bool:
    """Whether its program has begun, however soon it has ended."""
    if task.state is TaskState.FAILED:
        return task.Status.Err.startswith("task: non-zero exit")
    return task.state in (TaskState.RUNNING, TaskState.COMPLETE, TaskState.SHUTDOWN)


def image_missing(image: str, words: str) -> EngineError:
    """No node that may run it has the image, or can pull it."""
    return ImageMissing(
        f"image {image}: is on no node that may run the job, and none of them could pull it:"
        f" {words}; push it to a registry that the nodes reach, under this name; if that asks for a"
        " login, `config.json` of the supervisor has to have it"
    )


def no_room(name: str, task: Task) -> EngineError:
    """No node can take it."""
    return NoRoom(f"the {SWARM_TITLE} has no node for {name}: {_with_help(task.Status.Err)}")


def refused(name: str, task: Task, node: str = "", redact: Redactor = NO_SECRETS) -> EngineError:
    """A node has refused it, or could not start it."""
    why = task.Status.Err or f"its task is {task.state.name.lower()}"
    return EngineRefused(f"the {SWARM_TITLE} could not start {name}{_on(node)}: {redact(why)}")


def too_slow(name: str, task: Task | None = None, node: str = "") -> EngineError:
    """Its launch took too long; what its task waits for."""
    message = f"the {SWARM_TITLE} took too long to start {name}"
    if task is None:
        return EngineTimeout(message)
    waits = _WAITS.get(task.state)
    state = f"its task is {task.state.name.lower()}{_on(node)}"
    return EngineTimeout(f"{message}: {state} ({waits})" if waits else f"{message}: {state}")


def _on(node: str) -> str:
    return f" on {node}" if node else ""
