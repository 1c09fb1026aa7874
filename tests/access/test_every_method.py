"""Every method of every service, by every role: this table is written by hand.

A new method fails a test here until somebody has decided who may call it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import pytest

from service.access.roles import CHANGES, OPEN, Role
from service.api.jobs_service import JobsService
from service.api.observer_service import ObserverService
from service.api.server import GrpcServer
from service.app.metric_labels import new_metrics
from tests.access.served import ANONYMOUS, FILE, Metadata, Served, bearer, get, served
from tests.support.supervised import free_port

JOBS = "area_supervisor.AreaSupervisorService"
OBSERVER = "supervisor.v1.JobObserver"
HEALTH = "grpc.health.v1.Health"
REFLECTIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

EVERYBODY = {"", "backend", "night-shift", "prometheus"}
# Who may call it, of those who show nothing or a token of a backend, an operator, an observer.
MAY_CALL: Mapping[str, set[str]] = {
    f"{JOBS}/LaunchJob": {"backend", "night-shift"},
    f"{JOBS}/KillJob": {"backend", "night-shift"},
    f"{JOBS}/KillAllJobs": {"backend", "night-shift"},
    f"{JOBS}/ListJobs": {"backend", "night-shift", "prometheus"},
    f"{OBSERVER}/GetJob": {"night-shift", "prometheus"},
    f"{OBSERVER}/ListJobs": {"night-shift", "prometheus"},
    f"{OBSERVER}/ListNames": {"night-shift", "prometheus"},
    f"{OBSERVER}/WatchJobs": {"night-shift", "prometheus"},
    f"{OBSERVER}/StreamLogs": {"night-shift"},
    f"{OBSERVER}/Stats": {"night-shift", "prometheus"},
    f"{OBSERVER}/Diagnose": {"night-shift", "prometheus"},
    f"{OBSERVER}/Cordon": {"night-shift"},
    f"{OBSERVER}/Uncordon": {"night-shift"},
    f"{HEALTH}/Check": EVERYBODY,
    f"{HEALTH}/List": EVERYBODY,
    f"{HEALTH}/Watch": EVERYBODY,
    f"{REFLECTIONS[0]}/ServerReflectionInfo": {"night-shift", "prometheus"},
    f"{REFLECTIONS[1]}/ServerReflectionInfo": {"night-shift", "prometheus"},
}
CHANGING = {
    *(f"{JOBS}/{method}" for method in ("LaunchJob", "KillJob", "KillAllJobs")),
    *(f"{OBSERVER}/{method}" for method in ("Cordon", "Uncordon")),
}
STREAMS = {
    *(f"{OBSERVER}/{method}" for method in ("WatchJobs", "StreamLogs")),
    f"{HEALTH}/Watch",
    *(f"{reflection}/ServerReflectionInfo" for reflection in REFLECTIONS),
}


REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED")


async def _status(door: Served, method: str, who: str) -> str:
    """How a call of a method ends that sends an empty request, which all of them can read.

    OK for whatever a method itself makes of such a request.
    """
    try:
        await asyncio.to_thread(_call, door.port, method, bearer(who))
    except grpc.RpcError as error:
        status: str = error.code().name
        return status if status in REFUSED else "OK"
    return "OK"


def _call(port: int, method: str, metadata: Metadata) -> None:
    """Not with a client of grpc.aio: see tests/unit/observability/test_interceptors.py."""
    options = {"metadata": metadata, "timeout": 10}
    channel: Any
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        if method.endswith("/ServerReflectionInfo"):
            next(channel.stream_stream(f"/{method}")(iter([b""]), **options))
        elif method in STREAMS:
            next(channel.unary_stream(f"/{method}")(b"", **options))
        else:
            channel.unary_unary(f"/{method}")(b"", **options)


def methods_of(server: GrpcServer) -> set[str]:
    return {method.name for service in server._services for method in service.methods}


def test_the_table_has_every_method_of_every_service(unused_server: GrpcServer) -> None:
    assert set(MAY_CALL) == methods_of(unused_server), "MAY_CALL in this file: who may call it?"
    assert OPEN == {method for method, who in MAY_CALL.items() if who == EVERYBODY}
    assert CHANGES == CHANGING


@pytest.fixture
async def unused_server() -> AsyncIterator[GrpcServer]:
    async with served() as made:
        metrics = new_metrics([], version="test", engine="none", mode="test")
        jobs = JobsService(made.world.supervisor, made.world.readiness, metrics)
        services = [jobs.as_service(), ObserverService(made.world.observer).as_service()]
        yield GrpcServer("127.0.0.1", free_port(), services, metrics, launches=1)


@pytest.mark.parametrize("method", MAY_CALL)
async def test_a_role_may_call_what_the_table_says_and_nothing_else(
    door: Served, method: str
) -> None:
    allowed, failures = MAY_CALL[method], {}
    for who in sorted(EVERYBODY):
        status = await _status(door, method, who)
        refused = "PERMISSION_DENIED" if who else "UNAUTHENTICATED"
        if (who in allowed) != (status == "OK") or status not in ("OK", refused):
            failures[who] = status
    assert {} == failures
    refusals = EVERYBODY - allowed
    denied, missing = len(refusals - {""}), len(refusals & {""})
    counted = {"denied": denied, "missing": missing}
    assert {reason: n for reason, n in counted.items() if n} == door.failures()
    assert len(refusals) == len(door.events("call.refused"))
    audited = [event["outcome"] for event in door.events("call.audited") if _refused(event)]
    assert (denied + missing if method in CHANGING else 0) == len(audited)


def _refused(event: Mapping[str, Any]) -> bool:
    return event["outcome"] in ("missing", "denied")


@pytest.mark.parametrize("method", MAY_CALL)
async def test_who_shows_nothing_may_do_what_the_table_of_strangers_says(method: str) -> None:
    async with served(FILE + ANONYMOUS) as door:
        status = await _status(door, method, "")
        observer = "prometheus" in MAY_CALL[method]
        assert ("OK" if observer else "PERMISSION_DENIED") == status


@pytest.mark.parametrize("method", [m for m, who in MAY_CALL.items() if who != EVERYBODY])
async def test_a_wrong_token_is_refused_by_every_method_also_where_strangers_may_call_it(
    method: str,
) -> None:
    async with served(FILE + ANONYMOUS) as door:
        assert "UNAUTHENTICATED" == await _status(door, method, "nobody")
        assert {"unknown": 1} == door.failures()


async def test_the_pages_of_the_other_port_by_every_role(door: Served) -> None:
    answers = {
        (page, who): (await get(door, page, who))[0]
        for page in ("/metrics", "/livez", "/readyz")
        for who in EVERYBODY
    }
    assert {
        ("/metrics", ""): 401,
        ("/metrics", "backend"): 403,
        ("/metrics", "night-shift"): 200,
        ("/metrics", "prometheus"): 200,
        **{(page, who): 200 for page in ("/livez", "/readyz") for who in EVERYBODY},
    } == answers


def test_every_role_is_tried() -> None:
    assert {"backend", "operator", "observer"} == {role.value for role in Role}
