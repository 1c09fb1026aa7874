"""The API to observe, and the command line, of jobs on the machines of a Swarm."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from service._generated.supervisor.v1.observer_pb2 import (
    CordonRequest,
    DiagnoseRequest,
    GetJobRequest,
    Job,
    ListJobsRequest,
    StatsRequest,
    StreamLogsRequest,
    UncordonRequest,
)
from tests.support import command_line, worker
from tests.support.command_line import Ran
from tests.support.supervised import Supervised, eventually
from tests.support.swarm import Swarm, SwarmNode
from tests.support.watcher import Watcher
from tests.swarm.two import launch, runs_on

pytestmark = pytest.mark.timeout(300)

_CATALOG = f"""
[jobs.timer]
kind = "action"
image = "{worker.IMAGE}"
placement = ["node.role==worker"]
[jobs.here]
kind = "action"
image = "{worker.IMAGE}"
placement = ["node.role==manager"]
"""
_JOBS = [f"a-{n}" for n in range(4)]
_LOST_WITHIN = 60.0


@pytest.fixture(scope="module")
def observed(
    swarm_of_three: Swarm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supervised]:
    """A supervisor whose jobs are on two machines that it cannot ask."""
    folder = tmp_path_factory.mktemp("supervisor")
    (folder / "catalog.toml").write_text(_CATALOG)
    settings = {
        "DOCKER_HOST": swarm_of_three.manager.host,
        "JOB_CATALOG": str(folder / "catalog.toml"),
        "SUPERVISOR_ENGINE": "swarm",
        "GRPC_CALLBACK_HOST": "backend.test",
        "HISTORY_FILE": str(folder / "history.sqlite"),
    }
    with Supervised(folder, settings) as supervised:
        for identifier in _JOBS:
            launch(supervised, identifier, say=f"I am {identifier}")
        yield supervised
    swarm_of_three.clear()


def _live(supervised: Supervised) -> Sequence[Job]:
    return supervised.observer.ListJobs(ListJobsRequest(), timeout=10).jobs


def _get(supervised: Supervised, identifier: str) -> Job:
    return supervised.observer.GetJob(GetJobRequest(identifier=identifier), timeout=10)


def _findings(supervised: Supervised, check: str) -> list[str]:
    """What Diagnose finds in one of its checks."""
    found = supervised.observer.Diagnose(DiagnoseRequest(), timeout=20).findings
    return [each.message for each in found if each.check == check]


def _places(swarm: Swarm) -> dict[str, str]:
    """The node that each job really runs on."""
    return {job: node.machine.name for node in swarm.nodes for job in runs_on(node)}


def _said_last(supervised: Supervised, identifier: str) -> str:
    """The last line that a job has printed."""
    request = StreamLogsRequest(identifier=identifier, tail=1)
    answers = supervised.observer.StreamLogs(request, timeout=30)
    return "".join(line.text for answer in answers for line in answer.lines)


def _run(supervised: Supervised, *arguments: str, **environment: str) -> Ran:
    return command_line.run("--server", f"127.0.0.1:{supervised.port}", *arguments, **environment)


def _rows(table: str) -> list[dict[str, str]]:
    """The rows of a table, whose cells are two spaces and more apart."""
    titles, *rows = (
        [cell.strip() for cell in line.split("   ") if cell.strip()] for line in table.splitlines()
    )
    return [dict(zip(titles, row, strict=True)) for row in rows]


def test_each_answer_has_the_node_of_the_job(observed: Supervised, swarm_of_three: Swarm) -> None:
    places = _places(swarm_of_three)
    assert set(_JOBS) == set(places)
    assert {"node-2", "node-3"} == set(places.values())
    assert places == {job.identifier: job.node for job in _live(observed)}
    assert places == {each: _get(observed, each).node for each in _JOBS}
    with Watcher(observed.port) as watcher:
        eventually(lambda: len(watcher.live) == len(_JOBS))
        assert places == {job.identifier: job.node for job in watcher.live.values()}


def test_the_output_of_a_job_comes_from_any_machine(observed: Supervised) -> None:
    for identifier in _JOBS:
        eventually(lambda: _said_last(observed, identifier) == f"I am {identifier}")  # noqa: B023 - at once


def test_stats_say_of_which_jobs_the_manager_can_tell_nothing(
    observed: Supervised, swarm_of_three: Swarm
) -> None:
    assert not observed.launch("here", "h-1").HasField("error")
    places = _places(swarm_of_three)
    found = observed.observer.Stats(StatsRequest(), timeout=20)
    assert [("h-1", "node-1")] == [(each.identifier, each.node) for each in found.jobs]
    assert found.jobs[0].memory_bytes > 0
    assert {(each, places[each], "other_machine") for each in _JOBS} == {
        (each.identifier, each.node, each.reason) for each in found.unmeasured
    }
    ran = _run(observed, "top")
    assert "not measured: 4 on other machines of the Swarm" in ran.err
    assert places == {row["IDENTIFIER"]: row["NODE"] for row in _rows(ran.out)}
    assert not observed.kill("h-1").HasField("error")


def test_launches_are_refused_while_it_is_cordoned_and_kills_are_not(observed: Supervised) -> None:
    launch(observed, "killed")
    observed.observer.Cordon(CordonRequest(reason="a new kernel for node-2"), timeout=10)
    refused = observed.launch("timer", "refused").error
    assert (503, True) == (refused.code, "a new kernel for node-2" in refused.message)
    assert not observed.kill("killed").HasField("error")
    (found,) = _findings(observed, "cordon")
    assert "a new kernel for node-2" in found
    observed.observer.Uncordon(UncordonRequest(), timeout=10)
    assert [] == _findings(observed, "cordon")


def test_the_command_line_shows_the_nodes(observed: Supervised, swarm_of_three: Swarm) -> None:
    places = _places(swarm_of_three)
    wide = _rows(_run(observed, "jobs", "-o", "wide").out)
    assert places == {row["IDENTIFIER"]: row["NODE"] for row in wide}
    told: list[dict[str, Any]] = json.loads(_run(observed, "jobs", "-o", "json").out)
    assert places == {each["identifier"]: each["node"] for each in told}
    assert f"Node:         {places['a-0']}\n" in _run(observed, "describe", "a-0").out
    assert "I am a-0\n" in _run(observed, "logs", "a-0").out


def test_a_lost_node_is_told_by_watch_history_and_logs_alike(
    observed: Supervised, swarm_of_three: Swarm
) -> None:
    places = _places(swarm_of_three)
    node = swarm_of_three.workers[0]
    lost = sorted(job for job, name in places.items() if name == node.machine.name)
    with Watcher(observed.port) as watcher:
        eventually(lambda: len(watcher.live) == len(_JOBS))
        follower = observed.observer.StreamLogs(
            StreamLogsRequest(identifier=lost[0], follow=True), timeout=2 * _LOST_WITHIN
        )
        node.lose_power()
        try:
            eventually(lambda: len(watcher.live) == len(_JOBS) - len(lost), within=_LOST_WITHIN)
            told = sorted(
                (job.identifier, job.outcome, job.node)
                for job in watcher.changes
                if job.state == "gone"
            )
            assert [(each, "lost", node.machine.name) for each in lost] == told
            lines = [line.text for answer in follower for line in answer.lines]
            assert f"I am {lost[0]}" in lines
            _is_told_everywhere(observed, lost, node)
            for each in lost:
                launch(observed, each, say=f"I am {each}")
            assert {swarm_of_three.workers[1].machine.name} == {
                _get(observed, each).node for each in _JOBS
            }
            eventually(lambda: watcher.live == {job.launch_id: job for job in _live(observed)})
            assert 0 == watcher.follower.gaps
        finally:
            node.start()
            swarm_of_three.wait_until_ready()


def _is_told_everywhere(observed: Supervised, lost: Sequence[str], node: SwarmNode) -> None:
    history = observed.observer.ListJobs(
        ListJobsRequest(include="ended", outcome="lost"), timeout=10
    )
    name = node.machine.name
    assert {(each, name) for each in lost} == {(job.identifier, job.node) for job in history.jobs}
    shown = _rows(_run(observed, "history", "--outcome", "lost", "-o", "wide").out)
    assert {(each, name) for each in lost} == {(row["IDENTIFIER"], row["NODE"]) for row in shown}
    page = _run(observed, "describe", lost[0]).out
    assert "State:        lost\n" in page
    assert "(the output cannot be read: the node that it ran on is not available)\n" in page
    assert f"Node:         {name}\n" in page
    eventually(lambda: any("the node is down" in each for each in _findings(observed, "engine")))
    (failing,) = _findings(observed, "failing")
    assert f"{len(lost)} ended badly" in failing
