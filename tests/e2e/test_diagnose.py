"""Diagnose over gRPC, on a real Engine: what needs attention, and what to do about it."""

from pathlib import Path

import pytest

from scripts import engines
from scripts.certificates import Authority
from service._generated.supervisor.v1.observer_pb2 import (
    CordonRequest,
    DiagnoseRequest,
    Finding,
    UncordonRequest,
)
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub
from tests.conftest import Start
from tests.support import worker
from tests.support.supervised import Supervised, eventually

_GOOD = f'[jobs]\ntimer = {{ kind = "action", image = "{worker.IMAGE}" }}\n'


def _found(supervised: Supervised) -> dict[tuple[str, str], Finding]:
    """What is wrong, by check and subject; known faults of the Engine's version left out."""
    answer = JobObserverStub(supervised.channel).Diagnose(DiagnoseRequest(), timeout=20)
    assert all(each.help for each in answer.findings)
    order = [each.status for each in answer.findings]
    assert order == sorted(order)  # errors come before warnings
    found = {(each.check, each.subject): each for each in answer.findings}
    of_the_version = ("46661", "services of this Swarm can gain privileges")
    return {k: f for k, f in found.items() if not any(each in f.message for each in of_the_version)}


@pytest.fixture
def supervised(start: Start, catalog: Path) -> Supervised:
    catalog.write_text(_GOOD)
    return start()


def test_what_needs_attention(supervised: Supervised, catalog: Path) -> None:
    assert {} == _found(supervised)
    observer = JobObserverStub(supervised.channel)
    observer.Cordon(CordonRequest(reason="maintenance"), timeout=10)
    found = _found(supervised)
    assert [("cordon", "")] == list(found)
    assert found["cordon", ""].message.startswith("cordoned: no new launches, maintenance")
    observer.Uncordon(UncordonRequest(), timeout=10)
    supervised.launch("timer", "timer-1", {"exit": 3})
    eventually(lambda: ("failing", "timer") in _found(supervised))
    message = _found(supervised)["failing", "timer"].message
    assert "'timer-1', as error with exit code 3" in message
    catalog.write_text(_GOOD + "[jobs.wrong]\n")
    eventually(lambda: ("catalogue", "") in _found(supervised))
    assert "jobs.wrong.kind: is missing" in _found(supervised)["catalogue", ""].message
    if engines.chosen() == engines.SWARM:  # its nodes pull images by themselves
        return
    catalog.write_text(_GOOD + 'gone = { kind = "action", image = "no-such-image" }\n')
    eventually(lambda: ("images", "no-such-image") in _found(supervised), within=30)
    assert ("catalogue", "") not in _found(supervised)


def test_certificates_that_expire(start: Start, catalog: Path, tmp_path: Path) -> None:
    catalog.write_text(_GOOD)
    files = Authority("ours").issue("localhost", lifetime=(-30, 1)).write(tmp_path)
    supervised = start(ready=True, **files.settings("METRICS"))
    found = _found(supervised)
    assert [("certificates", "http port")] == list(found)
    assert "expires soon: " in found["certificates", "http port"].message
