"""Jobs that somebody ends past the supervisor, on a real Engine, beside those that nobody does."""

from collections.abc import Callable, Mapping

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


def test_who_has_ended_a_job_past_the_supervisor_is_told(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    for identifier, (name, params, act, _, _) in _BY_OTHERS.items():
        assert Response() == shared.launch(name, identifier, {**params, "when-ready": "ready"})
        act(_say_that_they_are_set(docker_client, identifier))
    for identifier, (name, params, _) in _BY_NOBODY.items():
        assert Response() == shared.launch(name, identifier, params)
    assert Response() == shared.launch("timer", "killed by us")
    assert Response() == shared.kill("killed by us")
    everything = len(_BY_OTHERS) + len(_BY_NOBODY) + 1
    eventually(lambda: everything == shared.metric("supervisor_exits_total"))
    told = {
        event["identifier"]: (event["outcome"], event.get("by"), event.get("signal"))
        for event in shared.events("job.exited")
    }
    by_others = {
        identifier: (outcome, "others", signal)
        for identifier, (*_, outcome, signal) in _BY_OTHERS.items()
    }
    by_nobody = {name: (outcome, None, None) for name, (*_, outcome) in _BY_NOBODY.items()}
    assert by_others | by_nobody | {"killed by us": ("killed", None, None)} == told
    counted = {
        sample.labels["job_name"]: sample.value
        for sample in shared.scrape().of("supervisor_exits_by_others_total")
        if sample.value
    }
    assert {"timer": 6, "webhook": 1, "mail": 1} == counted
