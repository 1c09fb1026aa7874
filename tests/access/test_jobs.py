"""What a client may do that is there for some jobs only, and what is told of who did what."""

import asyncio
from functools import partial
from typing import Any

import pytest
from opentelemetry.instrumentation.grpc import aio_server_interceptor

from service._generated.supervisor.v1.observer_pb2 import CordonRequest, UncordonRequest
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub
from service.access.access_file import clients_in
from service.api import server
from tests.access.served import FILE, Served, bearer, refusal, served
from tests.support.recorded_spans import Recorded

_SERVICE = "area_supervisor.AreaSupervisorService"


def _audits(door: Served) -> list[tuple[Any, ...]]:
    keys = ("client", "method", "job", "identifier", "outcome")
    events = door.events("call.audited")
    return [tuple(e.get(k, "").removeprefix(f"{_SERVICE}/") for k in keys) for e in events]


async def test_a_launch_of_another_job_is_denied_before_anything_is_done(door: Served) -> None:
    told = (
        f"client timers may not call {_SERVICE}/LaunchJob for the job 'mail';"
        " its role backend is for timer*, nothing-*"
    )
    assert ("PERMISSION_DENIED", told) == await refusal(door.launch("mail", "m-1", "timers"))
    assert {} == door.world.counted()
    assert {"denied": 1} == door.failures()
    assert [("timers", "LaunchJob", "mail", "m-1", "denied")] == _audits(door)
    assert ["warning"] == [event["log_level"] for event in door.events("call.audited")]
    name = "no job of the catalogue"
    assert "PERMISSION_DENIED" == (await refusal(door.launch(name, "x", "timers")))[0]


async def test_a_repeated_launch_is_denied_as_well(door: Served) -> None:
    """The running job answers it before it is read: only after the client's jobs are looked at."""
    for _ in range(2):
        await door.launch("webhook", "w-1", "backend")
        await door.launch("timer", "t-1", "timers")
    assert {"launches": 2, "dedups": 2} == door.world.counted()
    assert "PERMISSION_DENIED" == (await refusal(door.launch("webhook", "w-1", "timers")))[0]
    assert 2 == door.world.counted()["dedups"]


async def test_a_client_sees_its_own_jobs_only(door: Served) -> None:
    await door.launch("webhook", "w-1")
    await door.launch("timer", "t-1")
    assert ["t-1"] == await door.listed("timers")
    assert ["t-1", "w-1"] == await door.listed("backend")
    assert ["t-1", "w-1"] == await door.listed("prometheus")


async def test_a_kill_is_denied_where_all_is_somebody_elses(door: Served) -> None:
    await door.launch("webhook", "w-1")
    told = (
        f"client timers may not call {_SERVICE}/KillJob for the identifier 'w-1';"
        " its role backend is for timer*, nothing-*"
    )
    assert ("PERMISSION_DENIED", told) == await refusal(door.kill("w-1", "timers"))
    assert {"w-1": "running"} == door.world.listed()
    assert {"launches": 1} == door.world.counted(), "no kill"
    await door.kill("w-1", "night-shift")
    await door.kill("w-1", "timers")
    assert [
        ("backend", "LaunchJob", "webhook", "w-1", "launched"),
        ("timers", "KillJob", "webhook", "w-1", "denied"),
        ("night-shift", "KillJob", "webhook", "w-1", "killed"),
        ("timers", "KillJob", "", "w-1", "not_running"),
    ] == _audits(door)


async def test_a_kill_ends_what_is_allowed(door: Served) -> None:
    """A reaction and an action may share an identifier."""
    await door.launch("mail", "shared", "backend")
    await door.launch("timer", "shared", "timers")
    await door.kill("shared", "timers")
    (left,) = door.world.registry.of("shared")
    assert "mail" == left.name


async def test_a_kill_of_all_ends_those_of_the_client(door: Served) -> None:
    await door.launch("webhook", "w-1")
    await asyncio.gather(*(door.launch("timer", f"t-{n}", "timers") for n in range(5)))
    await door.kill_all("timers")
    assert {"w-1": "running"} == door.world.listed()
    await door.kill_all("backend")
    assert {} == door.world.listed()
    assert [("timers", "KillAllJobs", "", "", "killed")] == _audits(door)[-2:-1]


async def test_an_outcome_is_a_reason_where_a_call_fails_and_a_dedup_has_none(door: Served) -> None:
    await door.launch("timer", "t-1")
    await door.launch("timer", "t-1")
    await door.launch("missing", "m-1")
    await door.launch("none", "n-1")
    await door.launch("nothing", "n-2")
    await door.launch("timer", " ")
    assert [
        ("backend", "LaunchJob", "timer", "t-1", "launched"),
        ("backend", "LaunchJob", "missing", "m-1", "image_missing"),
        ("backend", "LaunchJob", "none", "n-1", "unknown_job"),
        ("backend", "LaunchJob", "nothing", "n-2", "no_image"),
        ("backend", "LaunchJob", "timer", " ", "invalid"),
    ] == _audits(door)


async def test_the_name_of_the_client_is_with_what_it_does(door: Served) -> None:
    await door.launch("timer", "t-1", "timers")
    await door.launch("timer", "t-1", "backend")
    (container,) = door.world.host.live
    assert "timers" == container.spec.labels["area.supervisor.client"]
    await door.kill("t-1", "night-shift")
    told = {
        event["event"]: event["client"]
        for event in door.world.logs
        if event["event"] in ("job.launched", "launch.dedup", "job.killed", "job.exited")
    }
    assert {
        "job.launched": "timers",
        "launch.dedup": "backend",
        "job.killed": "night-shift",
        "job.exited": "night-shift",
    } == told


async def test_no_audit_has_a_credential_or_a_parameter(door: Served) -> None:
    await door.launch("timer", "t-1", "timers")
    await refusal(door.launch("timer", "t-1", "nobody"))
    fields = {key for event in door.events("call.audited") for key in event}
    assert fields <= {
        *("event", "log_level", "logger_name", "client", "peer", "user_agent"),
        *("method", "job", "identifier", "outcome", "certificate"),
    }
    assert "audit" == door.events("call.audited")[0]["logger_name"]
    assert "of-" not in str(door.world.logs)


async def test_who_has_cordoned_it_is_audited(door: Served) -> None:
    observer = JobObserverStub(door.channel)

    async def cordon(who: str, reason: str = "maintenance") -> None:
        await observer.Cordon(CordonRequest(reason=reason), metadata=bearer(who))

    await cordon("night-shift")
    assert "PERMISSION_DENIED" == (await refusal(cordon("prometheus")))[0]
    assert "INVALID_ARGUMENT" == (await refusal(cordon("night-shift", "x" * 501)))[0]
    refused = await door.launch("timer", "t-1")
    assert (503, True) == (refused.error.code, refused.error.message.endswith("maintenance"))
    for _ in range(2):
        await observer.Uncordon(UncordonRequest(), metadata=bearer("night-shift"))
    assert [
        ("night-shift", "Cordon", "cordoned"),
        ("prometheus", "Cordon", "denied"),
        ("night-shift", "Cordon", "invalid"),
        ("backend", "LaunchJob", "cordoned"),
        ("night-shift", "Uncordon", "uncordoned"),
        ("night-shift", "Uncordon", "not_cordoned"),
    ] == [
        (client, method.rpartition("/")[2], outcome)
        for client, method, _, _, outcome in _audits(door)
    ]
    (told,) = door.events("supervisor.cordoned")
    assert "night-shift" == told["client"]


async def test_who_may_touch_some_jobs_only_does_not_hold_up_those_of_others(door: Served) -> None:
    """Whatever the role is."""
    some = FILE.replace("[clients.night-shift]", '[clients.night-shift]\njobs = ["timer*"]')
    door.access.replace(clients_in(some))
    observer = JobObserverStub(door.channel)
    refused = (
        "client night-shift may not call supervisor.v1.JobObserver/{} for the launches of all jobs;"
        " its role operator is for timer*"
    )
    for name, request in (("Cordon", CordonRequest()), ("Uncordon", UncordonRequest())):
        call = getattr(observer, name)(request, metadata=bearer("night-shift"))
        assert ("PERMISSION_DENIED", refused.format(name)) == await refusal(call)
    assert "" == door.world.cordon.notice
    assert {"denied": 2} == door.failures()
    assert [("Cordon", "denied"), ("Uncordon", "denied")] == [
        (event["method"].rpartition("/")[2], event["outcome"])
        for event in door.events("call.audited")
    ]


async def test_the_name_of_the_client_is_on_the_spans_of_its_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = Recorded()
    tracing = partial(aio_server_interceptor, recorded.provider)
    monkeypatch.setattr(server, "aio_server_interceptor", tracing)
    async with served() as door:
        await door.launch("timer", "t-1", "timers")
        await door.launch("timer", "t-1", "backend")
        await refusal(door.launch("mail", "m-1", "timers"))
        await refusal(door.launch("timer", "t-2", "nobody"))
        await door.kill("t-1", "night-shift")
    calls = [span for span in recorded.spans if span.name.startswith(f"/{_SERVICE}/")]
    assert ["timers", "backend", "timers", None, "night-shift"] == [
        (span.attributes or {}).get("supervisor.client") for span in calls
    ]
