"""Launches that wait at the same time share a request for their tasks, and no error."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest
import requests

from service.engine.swarm.answers import Task
from service.engine.swarm.shared_looks import SharedLooks
from service.errors import EngineFailed, NoSuchWorkload
from tests.support.supervised import eventually
from tests.unit.engine.swarm.objects import a_task

_WITHIN = 30.0
_GONE = "gone"


class _Launches:
    """Launches that look, each in a thread. Their pause lasts until the test ends it."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.requests: list[list[str]] = []
        self.pause, self.answer = Event(), Event()
        self.answer.set()
        self.fails_first: Exception | None = None
        self._pool, self._looks = pool, SharedLooks()

    def look(self, service: str, *, within: float = _WITHIN) -> Future[Sequence[Task]]:
        """Begin to look. Return once the launch waits with the others."""
        found = self._pool.submit(
            lambda: self._looks.tasks_of(
                service, pause=self._pause, ask=self._tasks_of, within=within
            )
        )
        eventually(lambda: service in self.waiting or found.done())
        return found

    @property
    def waiting(self) -> Sequence[str]:
        look = self._looks._next
        return look.services if look else []

    def _pause(self) -> None:
        assert self.pause.wait(_WITHIN)

    def _tasks_of(self, services: Sequence[str]) -> Sequence[Task]:
        self.requests.append(list(services))
        assert self.answer.wait(_WITHIN)
        if self.fails_first and len(self.requests) == 1:
            raise self.fails_first
        if _GONE in services:
            raise NoSuchWorkload(_GONE)
        return [a_task(service=service) for service in services]


@pytest.fixture
def launches() -> Iterator[_Launches]:
    with ThreadPoolExecutor(300) as pool:
        yield _Launches(pool)


def _services(found: Future[Sequence[Task]]) -> Sequence[str]:
    return [task.ServiceID for task in found.result(_WITHIN)]


def test_those_that_pause_at_the_same_time_share_a_request(launches: _Launches) -> None:
    first, second = launches.look("s1"), launches.look("s2")
    launches.pause.set()
    assert (_services(first), _services(second)) == (["s1"], ["s2"])
    assert launches.requests == [["s1", "s2"]]


def test_one_that_comes_during_a_request_asks_later(launches: _Launches) -> None:
    launches.answer.clear()
    first = launches.look("s1")
    launches.pause.set()
    eventually(lambda: launches.requests)
    launches.pause.clear()
    second = launches.look("s2")
    launches.answer.set()
    assert _services(first) == ["s1"]
    assert launches.waiting == ["s2"]
    launches.pause.set()
    assert _services(second) == ["s2"]
    assert launches.requests == [["s1"], ["s2"]]


def test_a_service_that_is_gone_is_an_error_of_its_launch_alone(launches: _Launches) -> None:
    first, gone, last = launches.look("s1"), launches.look(_GONE), launches.look("s3")
    launches.pause.set()
    assert (_services(first), _services(last)) == (["s1"], ["s3"])
    with pytest.raises(NoSuchWorkload):
        gone.result(_WITHIN)


def test_a_request_that_fails_is_an_error_of_its_launch_alone(launches: _Launches) -> None:
    launches.fails_first = EngineFailed("the manager has failed")
    first, second = launches.look("s1"), launches.look("s2")
    launches.pause.set()
    with pytest.raises(EngineFailed):
        first.result(_WITHIN)
    assert _services(second) == ["s2"]


@pytest.mark.parametrize("slow", [TimeoutError(), requests.exceptions.ReadTimeout()])
def test_nobody_asks_a_slow_manager_alone(launches: _Launches, slow: Exception) -> None:
    launches.fails_first = slow
    first, *others = [launches.look(f"s{number}") for number in range(3)]
    launches.pause.set()
    with pytest.raises(type(slow)):
        first.result(_WITHIN)
    for each in others:
        with pytest.raises(TimeoutError):
            each.result(_WITHIN)
    assert launches.requests == [["s0", "s1", "s2"]]


def test_those_that_a_slow_manager_has_not_answered_look_together_again(
    launches: _Launches,
) -> None:
    launches.fails_first = TimeoutError()
    unanswered = launches.look("s1"), launches.look("s2")
    launches.pause.set()
    assert all(each.exception(_WITHIN) for each in unanswered)
    launches.pause.clear()
    first, second = launches.look("s1"), launches.look("s2")
    launches.pause.set()
    assert (_services(first), _services(second)) == (["s1"], ["s2"])
    assert launches.requests == [["s1", "s2"], ["s1", "s2"]]


def test_nobody_waits_for_another_longer_than_it_may(launches: _Launches) -> None:
    first, second = launches.look("s1"), launches.look("s2", within=0.01)
    with pytest.raises(TimeoutError):
        second.result(_WITHIN)
    assert launches.requests == []
    launches.pause.set()
    assert _services(first) == ["s1"]


def test_a_request_is_for_as_many_as_fit_into_its_url(launches: _Launches) -> None:
    found = [launches.look(f"s{number}") for number in range(201)]
    launches.pause.set()
    assert [_services(each) for each in found] == [[f"s{number}"] for number in range(201)]
    assert sorted(len(services) for services in launches.requests) == [1, 200]
