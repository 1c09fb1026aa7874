"""The metrics: their names and labels as promised, and their values after things have happened."""

import random
import re
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import Request, urlopen

import docker
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse

from observability.label_values import HANDSHAKE_REASONS
from scripts.private_engine import PrivateEngine
from service import __version__
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceServicer
from service._generated.area_types_pb2 import Response
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverServicer
from service.app.metric_labels import LABELS
from tests.support import catalog, containers, swarm, worker
from tests.support.stubborn import a_stubborn_one
from tests.support.supervised import Supervised, eventually

_ENGINE = swarm.settings().get("SUPERVISOR_ENGINE", "docker")
# The only one of a Swarm. An Engine alone has no node, and so no such series.
_NODES: Mapping[str, set[str]] = {"node": {"node-1"}} if _ENGINE == "swarm" else {}

_GRACE = 1
_LAUNCH_TIMEOUT = 5
_CATALOG = f"""{catalog.TEXT}
broken = {{ kind = "action", image = "{worker.BROKEN}" }}
"""
_JOBS = {*tomllib.loads(_CATALOG)["jobs"], "unknown"}
# Their values as an interface: tests/unit/observability/test_metrics.py.
_OPERATIONS, _REASONS = set(LABELS.operations), set(LABELS.reasons)
_KILLS, _STATES, _EXITS = set(LABELS.kill_outcomes), set(LABELS.states), set(LABELS.exit_outcomes)
_ENGINE_CALLS, _ENGINE_REASONS = set(LABELS.engine_calls), set(LABELS.engine_reasons)
_SERVICE = "area_supervisor.AreaSupervisorService"
_METHODS = {
    *(f"{_SERVICE}/{name}" for name in vars(AreaSupervisorServiceServicer) if name[0] != "_"),
    *(f"supervisor.v1.JobObserver/{name}" for name in vars(JobObserverServicer) if name[0] != "_"),
    *(f"grpc.health.v1.Health/{name}" for name in ("Check", "Watch", "List")),
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "other",
}
_STATUSES = {status.name for status in grpc.StatusCode}
_VERSION = {__version__}

# Name: type, and for each label the values that it may have.
_PROMISED: Mapping[str, tuple[str, Mapping[str, set[str]]]] = {
    "supervisor_jobs_running": ("gauge", {"job_name": _JOBS}),
    "supervisor_jobs_unhealthy": ("gauge", {"job_name": _JOBS}),
    "supervisor_jobs": ("gauge", {"state": _STATES}),
    "supervisor_launches": ("counter", {"job_name": _JOBS}),
    "supervisor_adoptions": ("counter", {"job_name": _JOBS}),
    "supervisor_restarts": ("counter", {"job_name": _JOBS}),
    "supervisor_log_lines_dropped": ("counter", {}),
    "supervisor_watches_open": ("gauge", {}),
    "supervisor_watches_too_slow": ("counter", {}),
    "supervisor_auth_failures": ("counter", {"reason": {"missing", "unknown", "denied"}}),
    "supervisor_access_reload_success": ("gauge", {}),
    "supervisor_access_reload_success_timestamp_seconds": ("gauge", {}),
    "supervisor_dedups": ("counter", {"job_name": _JOBS}),
    "supervisor_failures": (
        "counter",
        {"job_name": _JOBS, "operation": _OPERATIONS, "reason": _REASONS},
    ),
    "supervisor_kills": ("counter", {"job_name": _JOBS, "outcome": _KILLS}),
    "supervisor_exits": ("counter", {"job_name": _JOBS, "outcome": _EXITS}),
    "supervisor_early_exits": ("counter", {"job_name": _JOBS}),
    "supervisor_exits_by_others": ("counter", {"job_name": _JOBS}),
    "supervisor_job": (
        "info",
        {
            "job_name": _JOBS - {"unknown"},
            "kind": {"action", "reaction"},
            "ends": {"true", "false"},
        },
    ),
    "supervisor_launches_in_progress": ("gauge", {"state": {"under_way", "waiting", "limit"}}),
    "supervisor_launches_waiting": ("gauge", {"queue": {"room", "slot"}}),
    "supervisor_launch_wait_duration_seconds": ("histogram", {"queue": {"room", "slot"}}),
    "supervisor_launch_duration_seconds": (
        "histogram",
        {"outcome": set(LABELS.launch_outcomes)},
    ),
    "supervisor_kill_duration_seconds": ("histogram", {"outcome": _KILLS}),
    "supervisor_job_duration_seconds": ("histogram", {"outcome": _EXITS}),
    "supervisor_ready": ("gauge", {}),
    "supervisor_cordoned": ("gauge", {}),
    "supervisor_engine_up": ("gauge", {}),
    "supervisor_engine_operation_duration_seconds": ("histogram", {"operation": _ENGINE_CALLS}),
    "supervisor_engine_errors": (
        "counter",
        {"operation": _ENGINE_CALLS, "reason": _ENGINE_REASONS},
    ),
    "supervisor_pulls_in_progress": ("gauge", {"state": {"under_way", "waiting", "limit"}}),
    "supervisor_pull_wait_duration_seconds": ("histogram", {}),
    "supervisor_pull_duration_seconds": ("histogram", {"outcome": set(LABELS.pull_outcomes)}),
    "supervisor_jobs_by_node": ("gauge", _NODES),
    "supervisor_kills_on_lost_nodes": ("counter", _NODES),
    "supervisor_event_stream_reconnects": ("counter", {}),
    "supervisor_reconcile_last_success_timestamp_seconds": ("gauge", {}),
    "supervisor_orphans": ("gauge", {}),
    "supervisor_orphans_removed": ("counter", {}),
    "supervisor_history_jobs": ("gauge", {"place": {"file", "memory"}}),
    "supervisor_history_bytes": ("gauge", {}),
    "supervisor_history_fault": ("gauge", {"reason": set(LABELS.history_faults)}),
    "supervisor_history_dropped": ("counter", {}),
    "supervisor_retention_removed": ("counter", {"limit": {"count", "hours"}}),
    "supervisor_crash_reports": ("counter", {"outcome": {"sent", "failed", "dropped"}}),
    "supervisor_crash_reports_waiting": ("gauge", {}),
    "supervisor_catalog_reload_success": ("gauge", {}),
    "supervisor_catalog_reload_success_timestamp_seconds": ("gauge", {}),
    "supervisor_engine_workers": ("gauge", {"state": {"busy", "limit", "queued"}}),
    "supervisor_tls_certificate_timestamp_seconds": (
        "gauge",
        {"port": {"grpc", "http"}, "edge": {"not_before", "not_after"}},
    ),
    "supervisor_tls_client_authority_timestamp_seconds": (
        "gauge",
        {"edge": {"not_before", "not_after"}},
    ),
    "supervisor_tls_files_refused": ("gauge", {"port": {"grpc", "http"}}),
    "supervisor_tls_handshake_failures": (
        "counter",
        {"port": {"grpc", "http", "console"}, "reason": set(HANDSHAKE_REASONS)},
    ),
    "grpc_server_call_started": ("counter", {"grpc_method": _METHODS}),
    "grpc_server_call_duration_seconds": (
        "histogram",
        {"grpc_method": _METHODS, "grpc_status": _STATUSES},
    ),
    "supervisor_build": (
        "info",
        {"version": _VERSION, "engine": {_ENGINE}, "mode": {"production", "development"}},
    ),
}

# What requests and ends of containers move, and nothing else does.
_MOVED = re.compile(
    r"supervisor_((launches|dedups|failures|kills|exits)_total"
    r"|(launch|kill|job)_duration_seconds_count)"
)


@pytest.fixture(scope="module")
def long_running(
    engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supervised]:
    """The module's supervisor for `shared`, with limits that tests can wait for."""
    directory = tmp_path_factory.mktemp("supervisor")
    path = directory / "catalog.toml"
    path.write_text(_CATALOG)
    settings = {
        "DOCKER_HOST": engine.host,
        "JOB_CATALOG": str(path),
        "JOB_STOP_GRACE_SECONDS": str(_GRACE),
        "LAUNCH_TIMEOUT_SECONDS": str(_LAUNCH_TIMEOUT),
    }
    with Supervised(directory, settings) as supervised:
        yield supervised


@pytest.fixture
def mortal(engine: PrivateEngine, shared: Supervised) -> Iterator[PrivateEngine]:
    """The Engine, which runs again when the test is over, before `shared` cleans up."""
    assert shared.process is not None
    yield engine
    engine.thaw()
    engine.start()


def _openmetrics(supervised: Supervised) -> tuple[str, list[Metric]]:
    """The content type and the metrics for one who asks for OpenMetrics."""
    request = Request(
        f"http://127.0.0.1:{supervised.metrics_port}/metrics",
        headers={"Accept": "application/openmetrics-text; version=1.0.0"},
    )
    with urlopen(request, timeout=10) as answer:
        families = parse_openmetrics(answer.read().decode())  # type: ignore[no-untyped-call]
        return answer.headers["Content-Type"], list(families)


def _scrape(supervised: Supervised) -> Counter[str]:
    """Each moved series as `name{value,value}` with the labels' values in their order."""
    return Counter(
        {
            f"{sample.name}{{{','.join(sample.labels.values())}}}": int(sample.value)
            for family in parse(supervised.http("/metrics")[1])
            for sample in family.samples
            if _MOVED.fullmatch(sample.name)
        }
    )


class _Moves:
    """What has moved since it was made."""

    def __init__(self, supervised: Supervised) -> None:
        self._supervised = supervised
        self._before = _scrape(supervised)

    def since(self) -> dict[str, int]:
        now = _scrape(self._supervised)
        now.subtract(self._before)
        return {_short(series): moved for series, moved in now.items() if moved}


def _short(series: str) -> str:
    return series.removeprefix("supervisor_").replace("_total", "").replace("_seconds_count", "")


# ---------------------------------------------------------------- names, types, labels


def test_names_types_and_labels_are_as_promised(shared: Supervised) -> None:
    shared.launch("timer", "t-1")
    found = {}
    for family in _openmetrics(shared)[1]:
        if family.name.startswith(("supervisor_", "grpc_")):
            labels: dict[str, set[str]] = {}
            for sample in family.samples:
                for name, value in sample.labels.items():
                    if name != "le":
                        labels.setdefault(name, set()).add(value)
            found[family.name] = (family.type, labels)
    assert set(_PROMISED) == set(found), "_PROMISED in this file"
    for name, (kind, allowed) in _PROMISED.items():
        assert (name, kind, set(allowed)) == (name, found[name][0], set(found[name][1]))
        for label, values in found[name][1].items():
            assert set() == values - allowed[label], (name, label)


def test_what_the_catalogue_knows_is_there_from_the_start(shared: Supervised) -> None:
    families = {family.name: family for family in parse(shared.http("/metrics")[1])}

    def preset(name: str) -> set[tuple[str, ...]]:
        return {tuple(s.labels.values()) for s in families[name].samples if "le" not in s.labels}

    jobs = {(job,) for job in _JOBS}
    for name in ("supervisor_jobs_running", "supervisor_launches", "supervisor_dedups"):
        assert jobs == preset(name), name
    assert {(job, how) for job in _JOBS for how in _KILLS} == preset("supervisor_kills")
    assert {(job, how) for job in _JOBS for how in _EXITS} == preset("supervisor_exits")
    assert {(state,) for state in _STATES} == preset("supervisor_jobs")
    unknown = {("unknown", what, why) for what in _OPERATIONS for why in _REASONS}
    assert unknown <= preset("supervisor_failures")
    assert {(name,) for name in _ENGINE_CALLS} == preset(
        "supervisor_engine_operation_duration_seconds"
    )
    assert {(call, why) for call in _ENGINE_CALLS for why in _ENGINE_REASONS} == preset(
        "supervisor_engine_errors"
    )


def test_the_process_and_python_are_there(shared: Supervised) -> None:
    names = {family.name for family in parse(shared.http("/metrics")[1])}
    assert {
        "process_cpu_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
        "python_info",
        "python_gc_collections",
    } <= names
    assert abs(time.time() - shared.metric("process_start_time_seconds")) < 3600


def test_what_runs_here_is_told(shared: Supervised) -> None:
    assert 1 == shared.metric(
        "supervisor_build_info", version=__version__, engine=_ENGINE, mode="production"
    )
    assert 1 == shared.metric("supervisor_ready")
    assert 1 == shared.metric("supervisor_engine_up")
    assert abs(time.time() - shared.metric(_RECONCILED)) < 60
    assert 8 < shared.metric("supervisor_engine_workers", state="limit")  # more than launches
    assert 0 == shared.metric("supervisor_engine_workers", state="queued")


_RECONCILED = "supervisor_reconcile_last_success_timestamp_seconds"


# ---------------------------------------------------------------- values


def test_launches_and_dedups(shared: Supervised) -> None:
    moves = _Moves(shared)
    assert Response() == shared.launch("timer", "t-1")
    for _ in range(3):
        assert Response() == shared.launch("timer", "t-1")
    assert Response() == shared.launch("weather", "w-1")
    for _ in range(2):
        assert Response() == shared.launch("mail", "m-1")
    assert Response() == shared.launch("nothing", "n-1")
    assert {
        "launches{timer}": 1,
        "launches{weather}": 1,
        "launches{mail}": 2,
        "dedups{timer}": 3,
        "launch_duration{launched}": 4,
        "launch_duration{dedup}": 3,
    } == moves.since()
    running = {name: shared.metric("supervisor_jobs_running", job_name=name) for name in _JOBS}
    expected = dict.fromkeys(_JOBS, 0) | {"timer": 1, "weather": 1, "mail": 2}
    assert expected == running
    assert [0, 4, 0, 0] == [
        shared.metric("supervisor_jobs", state=state)
        for state in ("starting", "running", "paused", "stopping")
    ]


def test_simultaneous_launches_are_one_launch_and_dedups(shared: Supervised) -> None:
    moves = _Moves(shared)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: shared.launch("timer", "once"), range(10)))
    assert [Response()] * 10 == answers
    assert {
        "launches{timer}": 1,
        "dedups{timer}": 9,
        "launch_duration{launched}": 1,
        "launch_duration{dedup}": 9,
    } == moves.since()


def test_failures_that_a_request_brings_on(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    moves = _Moves(shared)
    containers.stranger(docker_client, "taken")
    requests: list[tuple[int, str, str, dict[str, Any]]] = [
        (400, "timer", "", {}),
        (400, "timer", "nul\0", {}),
        (400, "timer", "t-1", {"auth": 1}),
        (400, "made-up-by-a-client", "", {}),
        (413, "timer", "t-1", {"big": "x" * 200_000}),
        (404, "made-up-by-a-client", "t-1", {}),
        (404, "Timer", "t-1", {}),
        (409, "timer", "taken", {}),
        (422, "missing", "t-1", {}),
        (502, "broken", "t-1", {}),
    ]
    for code, name, identifier, params in requests:
        assert code == shared.launch(name, identifier, params).error.code
    assert Response() == shared.kill(" ")  # is no failure
    assert {
        "failures{timer,launch,invalid}": 4,
        "failures{unknown,launch,invalid}": 1,
        "failures{unknown,launch,unknown_job}": 2,
        "failures{timer,launch,name_taken}": 1,
        "failures{missing,launch,image_missing}": 1,
        "failures{broken,launch,engine_refused}": 1,
        "kills{unknown,not_running}": 1,
        "launch_duration{failed}": 10,
    } == moves.since()
    assert [] == shared.jobs()


def test_a_failure_that_launches_share_is_counted_once(
    shared: Supervised, mortal: PrivateEngine
) -> None:
    moves = _Moves(shared)
    before = shared.calls("LaunchJob")
    mortal.freeze()  # so that the first is under way while the others come
    with ThreadPoolExecutor(4) as pool:
        launches = [pool.submit(shared.launch, "missing", "m-1") for _ in range(4)]
        eventually(lambda: 4 == shared.calls("LaunchJob") - before)
        mortal.thaw()
        codes = {launch.result().error.code for launch in launches}
    # On a slow machine the launch is over before the Engine is back.
    reasons = {422: "image_missing", 504: "timeout"}
    (reason,) = map(reasons.get, codes)
    assert {
        f"failures{{missing,launch,{reason}}}": 1,
        "launch_duration{failed}": 4,
    } == moves.since()


def test_a_launch_that_the_engine_lets_hang(shared: Supervised, mortal: PrivateEngine) -> None:
    moves = _Moves(shared)
    mortal.freeze()
    assert 504 == shared.launch("timer", "t-1").error.code
    mortal.thaw()
    eventually(shared.is_ready)
    assert {
        "failures{timer,launch,timeout}": 1,
        "launch_duration{failed}": 1,
    } == moves.since()
    assert 1 <= shared.metric(
        "supervisor_engine_errors_total", operation="create", reason="timeout"
    )


def test_an_engine_that_dies(shared: Supervised, mortal: PrivateEngine) -> None:
    """Kills and launches fail, and what the Engine took along is lost."""
    for name in ("timer", "weather"):
        assert Response() == shared.launch(name, name)
    moves = _Moves(shared)
    reconnects = shared.metric("supervisor_event_stream_reconnects_total")
    compared = shared.metric(_RECONCILED)
    mortal.kill()
    eventually(lambda: "NOT_SERVING" == shared.health())
    assert 0 == shared.metric("supervisor_ready")
    assert 0 == shared.metric("supervisor_engine_up")
    with ThreadPoolExecutor(3) as pool:
        kill = pool.submit(shared.kill, "timer")
        eventually(lambda: 1 == shared.metric("supervisor_jobs", state="stopping"))
        kill_all = pool.submit(shared.kill_all)  # shares the one under way, and adds weather's
        eventually(lambda: 2 == shared.metric("supervisor_jobs", state="stopping"))
        launch = pool.submit(shared.launch, "webhook", "hook")
        assert Response() == shared.kill("nobody")
        answers = [call.result() for call in (kill, kill_all, launch)]
    assert [503] * 3 == [answer.error.code for answer in answers]
    assert {
        "kills{timer,failed}": 1,
        "kills{weather,failed}": 1,
        "kills{unknown,not_running}": 1,
        "kill_duration{failed}": 2,
        "failures{timer,kill,unavailable}": 1,
        "failures{weather,kill_all,unavailable}": 1,
        "failures{webhook,launch,unavailable}": 1,
        "launch_duration{failed}": 1,
    } == moves.since()
    moves = _Moves(shared)
    mortal.start()
    eventually(shared.is_ready)
    eventually(shared.is_idle)
    assert {
        "exits{timer,lost}": 1,
        "exits{weather,lost}": 1,
        "job_duration{lost}": 2,
    } == moves.since()
    assert 1 == shared.metric("supervisor_ready")
    assert 1 == shared.metric("supervisor_engine_up")
    assert 1 <= shared.metric("supervisor_event_stream_reconnects_total") - reconnects
    assert compared < shared.metric(_RECONCILED)
    assert 1 <= shared.metric("supervisor_engine_errors_total", reason="unavailable")


def test_kills(shared: Supervised, docker_client: docker.DockerClient) -> None:
    a_stubborn_one(shared, docker_client)
    for name in ("timer", "mail", "mail"):
        assert Response() == shared.launch(name, "gentle")
    assert Response() == shared.launch("weather", "w-1")
    moves = _Moves(shared)
    assert Response() == shared.kill("stubborn")
    assert Response() == shared.kill("gentle")
    assert Response() == shared.kill("gentle")
    assert Response() == shared.kill("made-up-by-a-client")
    assert Response() == shared.kill_all()
    assert Response() == shared.kill_all()  # nothing is left to kill
    assert {
        "kills{timer,forced}": 1,
        "kills{timer,stopped}": 1,
        "kills{mail,stopped}": 2,
        "kills{weather,stopped}": 1,
        "kills{unknown,not_running}": 2,
        "kill_duration{forced}": 1,
        "kill_duration{stopped}": 4,
        "exits{timer,killed}": 2,
        "exits{mail,killed}": 2,
        "exits{weather,killed}": 1,
        "job_duration{killed}": 5,
    } == moves.since()
    assert _GRACE <= shared.metric("supervisor_kill_duration_seconds_sum", outcome="forced")
    assert 0 == shared.metric("supervisor_jobs_running")
    assert 0 == shared.metric("supervisor_jobs")


def test_exits(shared: Supervised, docker_client: docker.DockerClient) -> None:
    moves = _Moves(shared)
    ends: list[tuple[str, Mapping[str, Any]]] = [
        ("webhook", {"exit": 0}),
        ("mail", {"exit": 0}),
        ("timer", {"exit": 0}),
        ("timer", {"exit": 1}),
        ("mail", {"exit": 255}),
        ("small", {"after": 1, "eat": 1}),
    ]
    for number, (name, params) in enumerate(ends):
        assert Response() == shared.launch(name, f"{name}-{number}", params)
    assert Response() == shared.launch("timer", "killed-by-a-stranger")
    containers.one(docker_client, "killed-by-a-stranger").kill("KILL")
    eventually(shared.is_idle, within=30)
    assert {
        "launches{webhook}": 1,
        "launches{mail}": 2,
        "launches{timer}": 3,
        "launches{small}": 1,
        "launch_duration{launched}": 7,
        "exits{webhook,success}": 1,
        "exits{mail,success}": 1,
        "exits{timer,ended}": 1,
        "exits{timer,error}": 2,
        "exits{mail,error}": 1,
        "exits{small,oom}": 1,
        "job_duration{success}": 2,
        "job_duration{ended}": 1,
        "job_duration{error}": 3,
        "job_duration{oom}": 1,
    } == moves.since()


def test_the_life_of_a_container_is_timed(shared: Supervised) -> None:
    name = "supervisor_job_duration_seconds_sum"
    before = shared.metric(name, outcome="killed")
    assert Response() == shared.launch("timer", "lives")
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 1)
    assert Response() == shared.kill("lives")
    assert 1 <= shared.metric(name, outcome="killed") - before < 30


def test_each_call_to_the_engine_is_timed(shared: Supervised) -> None:
    name = "supervisor_engine_operation_duration_seconds_count"

    def calls() -> dict[str, float]:
        wanted = ("create", "start", "stop", "remove")
        return {operation: shared.metric(name, operation=operation) for operation in wanted}

    before = calls()
    for number in range(3):
        assert Response() == shared.launch("timer", f"t-{number}")
    assert Response() == shared.launch("timer", "t-0")
    assert Response() == shared.kill("t-0")
    after = calls()
    assert {"create": 3, "start": 3, "stop": 1, "remove": 1} == {
        operation: after[operation] - before[operation] for operation in after
    }
    assert 1 <= shared.metric(name, operation="ping")
    assert 1 <= shared.metric(name, operation="list")
    assert 1 <= shared.metric(name, operation="inspect")


# ---------------------------------------------------------------- gRPC


def _calls(supervised: Supervised, method: str, status: str) -> float:
    name = "grpc_server_call_duration_seconds_count"
    return supervised.metric(name, grpc_method=method, grpc_status=status)


def _raw(supervised: Supervised, path: str, request: bytes = b"") -> grpc.StatusCode:
    """The status of a call that no stub would make."""
    call: Any = supervised.channel.unary_unary(path, None, None)
    try:
        call(request, timeout=10)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_calls_are_counted_by_method_and_status(shared: Supervised) -> None:
    expected = {
        (f"{_SERVICE}/LaunchJob", "OK"): 3,
        (f"{_SERVICE}/KillJob", "OK"): 1,
        (f"{_SERVICE}/KillAllJobs", "OK"): 1,
        (f"{_SERVICE}/ListJobs", "OK"): 2,
        ("grpc.health.v1.Health/Check", "NOT_FOUND"): 1,
        ("other", "UNIMPLEMENTED"): 3,
    }
    before = {key: _calls(shared, *key) for key in expected}
    started = {method: shared.metric(_STARTED, grpc_method=method) for method, _ in expected}
    shared.launch("timer", "t-1")
    shared.launch("timer", "t-1")
    assert 404 == shared.launch("unknown", "t-1").error.code  # an error inside is an OK outside
    shared.kill("t-1")
    shared.kill_all()
    shared.jobs()
    shared.jobs()
    with pytest.raises(grpc.RpcError):
        shared.health("unknown")
    for path in ("/made.up.Service/Method", f"/{_SERVICE}/MadeUp", "/x/y"):
        assert grpc.StatusCode.UNIMPLEMENTED == _raw(shared, path)
    assert expected == {key: _calls(shared, *key) - before[key] for key in expected}
    assert {method: count for (method, _), count in expected.items()} == {
        method: shared.metric(_STARTED, grpc_method=method) - started[method]
        for method, _ in expected
    }


_STARTED = "grpc_server_call_started_total"


def test_a_call_that_takes_too_long_or_is_cancelled(
    shared: Supervised, mortal: PrivateEngine
) -> None:
    method = f"{_SERVICE}/LaunchJob"
    late, cancelled = (_calls(shared, method, s) for s in ("DEADLINE_EXCEEDED", "CANCELLED"))
    mortal.freeze()
    with pytest.raises(grpc.RpcError) as raised:
        shared.launch("timer", "late", timeout=1)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == raised.value.code()
    eventually(lambda: 1 == _calls(shared, method, "DEADLINE_EXCEEDED") - late)
    mortal.thaw()
    eventually(lambda: ["running"] == [job.status for job in shared.jobs()])
    watch = shared.health_stub.Watch  # type: ignore[attr-defined]
    watched = _calls(shared, "grpc.health.v1.Health/Watch", "CANCELLED")
    stream = watch(HealthCheckRequest(), timeout=30)
    next(stream)
    stream.cancel()
    eventually(lambda: 1 == _calls(shared, "grpc.health.v1.Health/Watch", "CANCELLED") - watched)
    assert cancelled == _calls(shared, method, "CANCELLED")


def test_a_launch_that_fails_after_its_client_has_gone_is_counted_and_told_once(
    shared: Supervised, mortal: PrivateEngine
) -> None:
    moves = _Moves(shared)
    mortal.freeze()
    with pytest.raises(grpc.RpcError):
        shared.launch("missing", "gone-31337", timeout=1)
    mortal.thaw()
    # On a busy machine the Engine may have been away for longer than a ping takes: that moves, too.
    eventually(lambda: [("failures{missing,launch,image_missing}", 1)] == _failures(moves))
    told = [line for line in shared.log().splitlines() if "gone-31337" in line]
    assert 1 == len(told)
    assert "Task exception was never retrieved" not in shared.log()


def _failures(moves: _Moves) -> list[tuple[str, int]]:
    return [(series, by) for series, by in moves.since().items() if series.startswith("failures")]


def test_a_request_that_cannot_be_read_is_counted_too(shared: Supervised) -> None:
    method = f"{_SERVICE}/LaunchJob"
    before = shared.metric(_STARTED, grpc_method=method)
    assert grpc.StatusCode.OK != _raw(shared, f"/{method}", b"\xff\xff")
    assert 1 == shared.metric(_STARTED, grpc_method=method) - before


# ---------------------------------------------------------------- exemplars, secrets of others


def test_openmetrics_has_the_trace_as_exemplar(shared: Supervised) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    metadata = (("traceparent", f"00-{trace_id}-00f067aa0ba902b7-01"),)
    assert Response() == shared.launch("timer", "traced", metadata=metadata)
    content_type, families = _openmetrics(shared)
    assert content_type.startswith("application/openmetrics-text")
    for name, labels in (
        ("supervisor_launch_duration_seconds", {"outcome": "launched"}),
        ("grpc_server_call_duration_seconds", {"grpc_method": f"{_SERVICE}/LaunchJob"}),
    ):
        found = {
            sample.exemplar.labels["trace_id"]
            for family in families
            for sample in family.samples
            if sample.name == f"{name}_bucket"
            and sample.exemplar
            and labels.items() <= sample.labels.items()
        }
        assert trace_id in found, name
        assert all(re.fullmatch("[0-9a-f]{32}", each) for each in found)


def test_prometheus_text_has_none(shared: Supervised) -> None:
    assert Response() == shared.launch("timer", "traced")
    url = f"http://127.0.0.1:{shared.metrics_port}/metrics"
    with urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = answer.read().decode()
    assert "trace_id" not in text
    assert "# EOF" not in text
    assert "_created" not in text


def test_nothing_that_a_client_makes_up_is_in_a_label(shared: Supervised) -> None:
    made_up = "made-up-31337"
    shared.launch("timer", made_up, {made_up: made_up}, {made_up: made_up})
    shared.launch("timer", made_up)
    shared.launch("timer", f"{made_up}-fails", {"exit": 3})
    shared.launch(made_up, "x")
    shared.launch(made_up, "")
    shared.launch("missing", made_up)
    shared.kill(made_up)
    shared.kill(f"{made_up}-nobody")
    _raw(shared, f"/{made_up}/{made_up}")
    with pytest.raises(grpc.RpcError):
        shared.health(made_up)
    shared.http(f"/{made_up}")
    eventually(shared.is_idle)
    assert made_up not in shared.http("/metrics")[1]
    assert made_up not in str(_openmetrics(shared)[1])


# ---------------------------------------------------------------- a race


# What is asked in a race, and how often.
_ASKED = {"timer": 8, "mail": 1, "kill": 6, "kill_all": 1}


class _Race:
    """Kills and launches of the same identifiers, from many threads, for a while."""

    identifiers = ("a", "b", "c")
    seconds = 4.0

    def __init__(self, supervised: Supervised, client: docker.DockerClient) -> None:
        self._supervised = supervised
        self._client = client
        self._over = threading.Event()
        self.answers: Counter[tuple[str, int]] = Counter()
        self.doubles: list[str] = []

    def run(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            racing = [pool.submit(self._ask, random.Random(seed)) for seed in range(6)]
            racing.append(pool.submit(self._watch))
            try:
                self._over.wait(self.seconds)
                eventually(
                    lambda: self._has_asked_all() or any(r.done() for r in racing), within=60
                )
            finally:
                self._over.set()
            for done in racing:
                done.result()

    def _has_asked_all(self) -> bool:
        """Whether there was an answer to each kind of request. On a busy machine there are few."""
        return _ASKED.keys() == {what for what, _ in list(self.answers)}

    def _ask(self, chance: random.Random) -> None:
        while not self._over.is_set():
            identifier = chance.choice(self.identifiers)
            (what,) = chance.choices(list(_ASKED), list(_ASKED.values()))
            if what == "kill":
                answer = self._supervised.kill(identifier)
            elif what == "kill_all":
                answer = self._supervised.kill_all()
            else:
                answer = self._supervised.launch(what, identifier)
            self.answers[what, answer.error.code] += 1

    def _watch(self) -> None:
        """An identifier of an action has one live container at most, at any time."""
        filters = {"label": "area.supervisor.job=timer"}
        while not self._over.is_set():
            found = self._client.api.containers(filters=filters)
            count = Counter(item["Labels"]["area.supervisor.identifier"] for item in found)
            self.doubles += [identifier for identifier, live in count.items() if live > 1]


def test_after_a_race_list_metrics_and_engine_agree(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    moves = _Moves(shared)
    race = _Race(shared, docker_client)
    race.run()
    assert {0} == {code for _, code in race.answers}, race.answers
    assert _ASKED.keys() == {what for what, _ in race.answers}
    assert [] == race.doubles
    _assert_agreement(shared, docker_client)
    moved = moves.since()
    for name in ("timer", "mail"):
        launched = moved.get(f"launches{{{name}}}", 0)
        assert launched >= 1
        ended = sum(moved.get(f"exits{{{name},{how}}}", 0) for how in _EXITS)
        assert launched - ended == shared.metric("supervisor_jobs_running", job_name=name)
        assert ended == moved.get(f"exits{{{name},killed}}", 0)
    asked = {what: count for (what, _), count in race.answers.items()}
    dedups = moved.get("dedups{timer}", 0)
    assert asked["timer"] == dedups + moved["launches{timer}"]
    assert asked["mail"] == moved["launches{mail}"]
    assert not any(series.startswith("failures") for series in moved)
    assert Response() == shared.kill_all()
    assert [] == containers.everything(docker_client)
    _assert_agreement(shared, docker_client)


def _assert_agreement(supervised: Supervised, client: docker.DockerClient) -> None:
    """What ListJobs, the metrics and the Engine say of the jobs that there are."""
    jobs = supervised.jobs()
    assert {"running"} >= {job.status for job in jobs}
    assert containers.live(client) == sorted(job.identifier for job in jobs)
    assert len(jobs) == len(containers.everything(client))
    for name in _JOBS:
        count = sum(job.name == name for job in jobs)
        assert count == supervised.metric("supervisor_jobs_running", job_name=name)
    for state in ("starting", "running", "paused", "stopping"):
        count = sum(job.status == state for job in jobs)
        assert count == supervised.metric("supervisor_jobs", state=state)
