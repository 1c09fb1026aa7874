"""Cordon and Uncordon over gRPC: what clients, probes, metrics and the log tell."""

import grpc
import pytest

from service._generated.supervisor.v1.observer_pb2 import CordonRequest, UncordonRequest
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub
from tests.support.supervised import Supervised, launch_request

_REASON = "the disk is changed\x1b[2J"
_SHOWN = "cordoned: no new launches, 'the disk is changed\\x1b[2J'"


@pytest.fixture
def supervised(shared: Supervised) -> Supervised:
    return shared


def _observer(supervised: Supervised) -> JobObserverStub:
    return JobObserverStub(supervised.channel)


def test_a_maintenance(supervised: Supervised) -> None:
    observer = _observer(supervised)
    supervised.launch("timer", "timer-1")
    observer.Cordon(CordonRequest(reason="at first"), timeout=10)
    observer.Cordon(CordonRequest(reason=_REASON), timeout=10)
    launch = supervised.stub.LaunchJob.with_call
    refused, call = launch(launch_request("timer", "timer-2"), timeout=10)
    assert (503, f"the supervisor is {_SHOWN}") == (refused.error.code, refused.error.message)
    assert ("retry-after", "60") in [(k, v) for k, v in call.trailing_metadata()]
    assert not supervised.launch("timer", "timer-1").HasField("error")
    assert ["timer-1"] == supervised.running()
    assert (200, f"ready; {_SHOWN}\n") == supervised.http("/readyz")
    assert "SERVING" == supervised.health()
    assert 1 == supervised.metric("supervisor_cordoned")
    assert 1 == supervised.metric("supervisor_failures_total", reason="cordoned")
    assert 0 == supervised.metric("supervisor_failures_total", reason="unavailable")
    assert not supervised.kill("timer-1").HasField("error")
    assert 503 == supervised.launch("timer", "timer-1").error.code
    for _ in range(2):
        observer.Uncordon(UncordonRequest(), timeout=10)
    assert not supervised.launch("timer", "timer-2").HasField("error")
    assert (200, "ready\n") == supervised.http("/readyz")
    assert 0 == supervised.metric("supervisor_cordoned")
    told = [event["reason"] for event in supervised.events("supervisor.cordoned")]
    assert ["at first", "'the disk is changed\\x1b[2J'"] == told
    (lifted,) = supervised.events("supervisor.uncordoned")
    assert lifted["seconds"] > 0
    assert lifted["peer"].startswith("127.0.0.1:")


def test_a_reason_that_is_too_long(supervised: Supervised) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        _observer(supervised).Cordon(CordonRequest(reason="x" * 501), timeout=10)
    assert grpc.StatusCode.INVALID_ARGUMENT is caught.value.code()
    assert "reason: has 501 characters; at most 500 are allowed" == caught.value.details()
    assert (200, "ready\n") == supervised.http("/readyz")
