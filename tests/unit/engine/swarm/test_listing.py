"""Only what has changed since the last poll is decoded."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from service.engine.docker.client import Client
from service.engine.docker.list_reader import elements
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.swarm.listing import Listings
from service.engine.swarm.machines import KnownNodes
from service.engine.workloads import Status
from tests.unit.engine.swarm.objects import task_item


class Answers:
    """A client whose manager answers with these tasks."""

    def __init__(self) -> None:
        self.tasks: list[Any] = []

    def each(self, path: str, filters: object, decode: Any) -> Iterator[Any]:
        assert ("/tasks", {"label": []}) == (path, filters)
        text = json.dumps(self.tasks, separators=(",", ":")).encode()
        return elements((text[at : at + 100] for at in range(0, len(text), 100)), decode)

    def nodes(self) -> list[Any]:
        node = {"ID": "n1", "Status": {"State": "ready"}, "Description": {"Hostname": "one"}}
        return [node]


def item(number: int, *states: str) -> Any:
    """A task with an id as Swarm's ids are."""
    return task_item(*states, service=f"s{number}") | {"ID": f"{number:025}"}


@pytest.fixture
def listings() -> Listings:
    return Listings({}, KnownNodes(), TolerantReader())


def test_a_task_is_read_again_once_it_has_changed(listings: Listings) -> None:
    answers = Answers()
    client = cast("Client", answers)
    answers.tasks = [item(1), item(2), item(3)]
    first = listings.poll(client, [])
    answers.tasks = [item(4), item(3, "failed", "shutdown"), item(2)]
    second = listings.poll(client, [])
    assert first.tasks["s2"] is second.tasks["s2"]
    statuses = {each.id: each.status for each in second.workloads}
    assert {"s4": Status.LIVE, "s3": Status.EXITED, "s2": Status.LIVE} == statuses
    third = listings.poll(client, [])
    assert all(third.tasks[service] is task for service, task in second.tasks.items())


def test_an_unreadable_task_is_left_out_until_it_is_readable(listings: Listings) -> None:
    answers = Answers()
    answers.tasks = [item(1), item(2) | {"DesiredState": "odd"}, 7]
    polls = [listings.poll(cast("Client", answers), []) for _ in range(2)]
    assert [["s1"], ["s1"]] == [list(poll.tasks) for poll in polls]
    answers.tasks = [item(2), item(1)]
    assert ["s2", "s1"] == list(listings.poll(cast("Client", answers), []).tasks)
