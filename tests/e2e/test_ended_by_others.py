"""Jobs that somebody ends past the supervisor, on a real Engine, beside those that nobody does."""

from collections.abc import Callable, Collection, Mapping

import docker
import pytest
from docker.models.containers import Container

from service._generated.area_types_pb2 import Response
from tests.support import containers
from tests.support.supervised import Supervised, eventually

pytestmark = pytest.mark.timeout(120)

Act = Callable[[Container], object]
# What is done to which job, and what is told of it: its outcome, and the signal.
_BY_OTHERS: Mapping[str, tuple[str, Mapping[str, object], Act, str, str]] = {
    "kill": ("timer", {}, Container.kill, "error", "SIGKILL"),
    "kill -s INT": ("timer", {}, lambda c: c.kill("SIGINT"), "error", "SIGINT"),
    "stop": ("timer", {}, lambda c: c.stop(timeout=5), "error", "SIGTERM"),
    "stop, deaf": ("timer", {"stubborn": 1}, lambda c: c.stop(timeout=1), "error", "SIGKILL"),
    "stop, heeded": ("timer", {"leave": 0}, lambda c: c.stop(timeout=5), "ended", "SIGTERM"),
    "stop at the end": ("webhook", {"leave": 0}, lambda c: c.stop(timeout=5), "success", "SIGTERM"),
    "rm -f": ("timer", {}, lambda c: c.remove(force=True), "error", "SIGKILL"),
    "rm -f of a reaction": ("mail", {}, lambda c: c.remove(force=True), "error", "SIGKILL"),
}
_BY_NOBODY: Mapping[str, tuple[str, Mapping[str, object], str]] = {
    "a crash": ("timer", {"after": 1, "exit": 1}, "error"),
    "an abort": ("timer", {"after": 1, "signal": "ABRT"}, "error"),
    "a SIGKILL of its own": ("timer", {"after": 1, "signal": "KILL"}, "error"),
    "a SIGTERM of its own": ("timer", {"after": 1, "signal": "TERM"}, "error"),
    "want of memory": ("small", {"after": 1, "eat": 1}, "oom"),
    "an end": ("webhook", {"after": 1, "exit": 0}, "success"),
}


def _say_that_they_are_set(client: docker.DockerClient, identifier: str) -> Container:
    """The container of a worker whose shell has read its arguments, with its traps."""
    container = containers.one(client, identifier)
    eventually(lambda: b"\nready\n" in container.logs())
    return container


def _told(supervised: Supervised, identifiers: Collection[str]) -> dict[str, tuple[str, ...]]:
    """How each has ended, once all have: the outcome; by whom and with which signal, if told."""
    eventually(supervised.is_idle, within=30)
    return {
        event["identifier"]: (event["outcome"], event.get("by", ""), event.get("signal", ""))
        for event in supervised.events("job.exited")
        if event["identifier"] in identifiers
    }


def _counted(supervised: Supervised) -> dict[str, float]:
    """How many of each job others have ended."""
    samples = supervised.scrape().of("supervisor_exits_by_others_total")
    return {sample.labels["job_name"]: sample.value for sample in samples if sample.value}


def test_who_has_ended_a_job_past_the_supervisor_is_told(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    for identifier, (name, params, act, _, _) in _BY_OTHERS.items():
        assert Response() == shared.launch(name, identifier, {**params, "when-ready": "ready"})
        act(_say_that_they_are_set(docker_client, identifier))
    expected = {
        identifier: (outcome, "others", signal)
        for identifier, (*_, outcome, signal) in _BY_OTHERS.items()
    }
    assert expected == _told(shared, expected)
    assert {"timer": 6, "webhook": 1, "mail": 1} == _counted(shared)


def test_nobody_else_is_named_for_an_end_that_is_the_workers_own_or_ours(
    shared: Supervised,
) -> None:
    before = _counted(shared)
    for identifier, (name, params, _) in _BY_NOBODY.items():
        assert Response() == shared.launch(name, identifier, params)
    assert Response() == shared.launch("timer", "killed by us")
    assert Response() == shared.kill("killed by us")
    expected = {name: (outcome, "", "") for name, (*_, outcome) in _BY_NOBODY.items()}
    expected["killed by us"] = ("killed", "", "")
    assert expected == _told(shared, expected)
    assert before == _counted(shared)
