"""What a task says of the workload that it is, by its state, what is desired, and its node."""

import pytest

from service.engine.docker.parsing import Unreadable, read
from service.engine.swarm.answers import Task, TaskState
from service.engine.swarm.tasks import (
    NOWHERE,
    Nodes,
    bare_inspection,
    bare_workload,
    being_stopped,
    by_service,
    exit_code,
    inspection,
    status,
    workload,
)
from service.engine.workloads import Status
from tests.unit.engine.swarm.objects import LATER, LATEST, a_service, a_task, task_item

_ALL_THERE = Nodes({"n1": "host-1"})
_LOST = Nodes({"n1": "host-1"}, frozenset({"n1"}))


@pytest.mark.parametrize(
    ("state", "desired", "nodes", "expected"),
    [
        *(
            (state, "running", _ALL_THERE, Status.CREATED)
            for state in ("new", "allocated", "pending", "assigned", "accepted", "preparing")
        ),
        ("ready", "running", _ALL_THERE, Status.CREATED),
        ("starting", "running", _ALL_THERE, Status.CREATED),
        ("running", "running", _ALL_THERE, Status.LIVE),
        ("running", "complete", _ALL_THERE, Status.LIVE),
        ("running", "shutdown", _ALL_THERE, Status.LIVE),
        ("running", "shutdown", _LOST, Status.EXITED),
        ("running", "running", _LOST, Status.LIVE),  # Swarm has not given it up yet
        ("pending", "shutdown", _ALL_THERE, Status.EXITED),  # it never comes to a node
        ("assigned", "shutdown", _ALL_THERE, Status.CREATED),  # its node may be at it
        ("assigned", "shutdown", _LOST, Status.EXITED),
        *(
            (state, "shutdown", _ALL_THERE, Status.EXITED)
            for state in ("complete", "shutdown", "failed", "rejected", "orphaned")
        ),
    ],
)
def test_a_status(state: str, desired: str, nodes: Nodes, expected: Status) -> None:
    assert expected is status(a_task(state, desired), nodes)


@pytest.mark.parametrize(
    ("state", "code", "expected"),
    [
        ("complete", None, 0),
        ("complete", 0, 0),
        ("failed", 3, 3),
        ("failed", None, None),
        ("shutdown", 143, 143),
        ("shutdown", 0, 0),
        ("rejected", 0, None),
        ("orphaned", None, None),
        ("running", 0, None),
    ],
)
def test_an_exit_code(state: str, code: int | None, expected: int | None) -> None:
    assert expected == exit_code(a_task(state, "shutdown", code=code))


def test_an_exit_code_without_a_container_is_none() -> None:
    assert exit_code(a_task("shutdown", "shutdown", code=0, container="")) is None


def test_the_task_that_never_starts_is_nobodys() -> None:
    stopped = a_task("shutdown", "shutdown", code=143)
    marker = a_task("pending", "running", constraints=[NOWHERE], created=LATER, node="")
    assert {"s1": stopped} == by_service([marker, stopped])
    assert {} == by_service([marker])


def test_of_two_tasks_the_one_that_runs_counts_and_else_the_newest() -> None:
    old, new = a_task("failed", "shutdown"), a_task("pending", created=LATER)
    assert {"s1": new} == by_service([new, old])
    running = a_task("running")
    assert {"s1": running} == by_service([running, new])


def test_a_workload_of_a_task_and_one_without() -> None:
    found = workload(a_task(), _ALL_THERE)
    assert ("s1", "a-1", Status.LIVE, "host-1") == (found.id, found.name, found.status, found.node)
    assert {"l": "v"}.items() <= found.labels.items()
    assert Status.CREATED is bare_workload(a_service()).status
    assert Status.EXITED is bare_workload(a_service(replicas=0)).status
    assert Status.EXITED is bare_workload(a_service(constraints=[NOWHERE])).status


def test_an_inspection_tells_when_it_came_into_its_state() -> None:
    running = inspection(a_task(), _ALL_THERE)
    assert (Status.LIVE, None, None) == (running.status, running.exit_code, running.ended_at)
    assert ("--auth", "secret") == running.arguments
    assert "secret" not in repr(running)
    failed = inspection(a_task("failed", "shutdown", code=3), _ALL_THERE)
    assert (Status.EXITED, 3) == (failed.status, failed.exit_code)
    assert failed.ended_at is not None
    assert failed.started_at < failed.ended_at


@pytest.mark.parametrize(
    ("state", "code", "witnessed"),
    [
        ("complete", 0, True),
        ("failed", 3, True),
        ("failed", None, False),
        ("shutdown", 143, False),  # somebody has had it ended
        ("running", 0, False),
    ],
)
def test_an_end_by_itself_was_seen_by_its_node_whatever_has_happened_since(
    state: str, code: int | None, witnessed: bool
) -> None:
    assert witnessed is inspection(a_task(state, "shutdown", code=code), _ALL_THERE).witnessed


def test_of_what_is_lost_nothing_is_claimed() -> None:
    lost = inspection(a_task("running", "shutdown"), _LOST)
    assert (Status.EXITED, None, None) == (lost.status, lost.exit_code, lost.ended_at)
    assert lost.started_at > 0


def test_what_never_ran_has_no_start() -> None:
    assert 0.0 == inspection(a_task("rejected", "shutdown"), _ALL_THERE).started_at
    assert 0.0 == bare_inspection(a_service()).started_at


@pytest.mark.parametrize(
    ("key", "value"), [("DesiredState", "odd"), ("ID", ""), ("Status", None), ("CreatedAt", 7)]
)
def test_a_task_of_another_shape_is_unreadable(key: str, value: object) -> None:
    with pytest.raises(Unreadable):
        read(Task, task_item() | {key: value})


def test_every_state_that_swarmkit_has_is_known() -> None:
    for state in TaskState:
        assert state is a_task(state.name.lower()).state


def test_a_service_with_the_placement_of_a_stop_is_being_stopped() -> None:
    tasks = [a_task(), a_task("pending", constraints=[NOWHERE], created=LATER)]
    assert {"s1"} == being_stopped(tasks)
    assert set() == being_stopped([a_task()])
    assert set() == being_stopped([*tasks, a_task(created=LATEST)])  # it was started again
    assert bare_workload(a_service(constraints=[NOWHERE])).stopping
    assert not bare_workload(a_service()).stopping
