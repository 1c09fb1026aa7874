import re
from itertools import product

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from observability.metrics import Metrics, trace_exemplar
from service.app.metric_labels import new_metrics
from service.jobs.catalog_file import load_catalog
from tests.support.recorded_spans import sampled_span, unsampled_span
from tests.support.samples import NAMES

JOBS = (*NAMES, "unknown")
LABELS = {
    "job_name": JOBS,
    "state": ("starting", "running", "paused", "stopping", "backing_off", "exited"),
    "operation": ("launch", "kill", "kill_all"),
    "reason": (
        "invalid",
        "unknown_job",
        "name_taken",
        "image_missing",
        "limit",
        "killed",
        "registry_denied",
        "internal",
        "engine_refused",
        "unavailable",
        "timeout",
        "cordoned",
    ),
}
LAUNCH = ("launched", "dedup", "failed")
KILL = ("stopped", "forced", "not_running", "failed")
EXIT = ("success", "ended", "error", "oom", "killed", "lost", "timed_out")
ENGINE = (
    *("ping", "create", "start", "stop", "kill", "remove"),
    *(
        "inspect",
        "list",
        "logs",
        "stats",
        "events",
        "top",
        "info",
        "rename",
        "upload",
        "download",
        "pull",
    ),
)
HISTORY_FAULTS = (
    *("full", "locked", "broken", "read_only", "no_folder", "newer", "foreign", "other"),
)
HANDSHAKE = ("no_certificate", "bad_certificate", "refused", "old_tls", "no_tls", "other")
ENGINE_REASONS = (
    "invalid",
    "name_taken",
    "image_missing",
    "engine_refused",
    "unavailable",
    "timeout",
    "limit",
    "registry_denied",
)


def fresh(jobs: tuple[str, ...] = NAMES) -> Metrics:
    return new_metrics(jobs, version="1.2.3", engine="docker", mode="production")


# The interface: each series that exists, at 0, before anything has happened.
PRESET = [
    ("supervisor_jobs_running", {"job_name": JOBS}),
    ("supervisor_jobs_unhealthy", {"job_name": JOBS}),
    ("supervisor_jobs", {"state": LABELS["state"]}),
    ("supervisor_launches_total", {"job_name": JOBS}),
    ("supervisor_adoptions_total", {"job_name": JOBS}),
    ("supervisor_restarts_total", {"job_name": JOBS}),
    ("supervisor_dedups_total", {"job_name": JOBS}),
    ("supervisor_log_lines_dropped_total", {}),
    ("supervisor_watches_open", {}),
    ("supervisor_watches_too_slow_total", {}),
    ("supervisor_auth_failures_total", {"reason": ("missing", "unknown", "denied")}),
    ("supervisor_access_reload_success", {}),
    ("supervisor_access_reload_success_timestamp_seconds", {}),
    (
        "supervisor_failures_total",
        {
            "job_name": ("unknown",),
            "operation": LABELS["operation"],
            "reason": LABELS["reason"],
        },
    ),
    ("supervisor_kills_total", {"job_name": JOBS, "outcome": KILL}),
    ("supervisor_exits_total", {"job_name": JOBS, "outcome": EXIT}),
    ("supervisor_early_exits_total", {"job_name": JOBS}),
    ("supervisor_exits_by_others_total", {"job_name": JOBS}),
    ("supervisor_launches_in_progress", {"state": ("under_way", "waiting", "limit")}),
    ("supervisor_launches_waiting", {"queue": ("room", "slot")}),
    ("supervisor_launch_duration_seconds_count", {"outcome": LAUNCH}),
    ("supervisor_launch_wait_duration_seconds_count", {"queue": ("room", "slot")}),
    ("supervisor_kill_duration_seconds_count", {"outcome": KILL}),
    ("supervisor_job_duration_seconds_count", {"outcome": EXIT}),
    ("supervisor_ready", {}),
    ("supervisor_cordoned", {}),
    ("supervisor_engine_up", {}),
    ("supervisor_engine_operation_duration_seconds_count", {"operation": ENGINE}),
    ("supervisor_engine_errors_total", {"operation": ENGINE, "reason": ENGINE_REASONS}),
    ("supervisor_pulls_in_progress", {"state": ("under_way", "waiting", "limit")}),
    ("supervisor_pull_wait_duration_seconds_count", {}),
    ("supervisor_pull_duration_seconds_count", {"outcome": ("pulled", "failed", "cancelled")}),
    ("supervisor_event_stream_reconnects_total", {}),
    ("supervisor_reconcile_last_success_timestamp_seconds", {}),
    ("supervisor_orphans", {}),
    ("supervisor_orphans_removed_total", {}),
    ("supervisor_history_jobs", {"place": ("file", "memory")}),
    ("supervisor_history_bytes", {}),
    ("supervisor_history_fault", {"reason": HISTORY_FAULTS}),
    ("supervisor_history_dropped_total", {}),
    ("supervisor_retention_removed_total", {"limit": ("count", "hours")}),
    ("supervisor_crash_reports_total", {"outcome": ("sent", "failed", "dropped")}),
    ("supervisor_crash_reports_waiting", {}),
    ("supervisor_catalog_reload_success", {}),
    ("supervisor_catalog_reload_success_timestamp_seconds", {}),
    ("supervisor_engine_workers", {"state": ("busy", "limit", "queued")}),
    (
        "supervisor_tls_certificate_timestamp_seconds",
        {"port": ("grpc", "http"), "edge": ("not_before", "not_after")},
    ),
    (
        "supervisor_tls_client_authority_timestamp_seconds",
        {"edge": ("not_before", "not_after")},
    ),
    ("supervisor_tls_files_refused", {"port": ("grpc", "http")}),
    (
        "supervisor_tls_handshake_failures_total",
        {"port": ("grpc", "http", "console"), "reason": HANDSHAKE},
    ),
]


@pytest.mark.parametrize(("name", "labels"), PRESET, ids=[name for name, _ in PRESET])
def test_a_series_is_there_at_0_from_the_start_and_has_no_other_label(
    name: str, labels: dict[str, tuple[str, ...]]
) -> None:
    samples = [s for f in fresh().registry.collect() for s in f.samples if s.name == name]
    expected = {
        tuple(zip(labels, values, strict=True)): 0.0 for values in product(*labels.values())
    }
    actual = {
        tuple((key, sample.labels[key]) for key in labels if key in sample.labels): sample.value
        for sample in samples
    }
    assert expected == actual, "PRESET in this file"
    assert all(set(labels) == set(sample.labels) for sample in samples)


EMPTY = [
    ("supervisor_jobs_by_node", "gauge", ("node",)),
    ("supervisor_kills_on_lost_nodes", "counter", ("node",)),
    ("grpc_server_call_started", "counter", ("grpc_method",)),
    ("grpc_server_call_duration_seconds", "histogram", ("grpc_method", "grpc_status")),
]


@pytest.mark.parametrize(("name", "kind", "labels"), EMPTY, ids=[name for name, *_ in EMPTY])
def test_what_the_catalogue_does_not_know_begins_with_the_first_observation(
    name: str, kind: str, labels: tuple[str, ...]
) -> None:
    metrics = fresh()
    family = next(f for f in metrics.registry.collect() if f.name == name)
    assert (kind, []) == (family.type, family.samples)
    metrics.job_moved("timer", None, "running", live=1, node="worker-1")
    metrics.grpc_started.labels("x/Y").inc()
    metrics.grpc_duration.labels("x/Y", "OK").observe(1)
    family = next(f for f in metrics.registry.collect() if f.name == name)
    assert set(labels) == {label for s in family.samples for label in s.labels} - {"le"}


def test_the_build_is_told() -> None:
    assert 1 == fresh().registry.get_sample_value(
        "supervisor_build_info", {"version": "1.2.3", "engine": "docker", "mode": "production"}
    )


def test_the_process_and_python_are_told() -> None:
    names = {family.name for family in fresh().registry.collect()}
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info"} <= names
    assert {"python_gc_collections", "process_cpu_seconds"} <= names


def test_every_name_is_in_the_interface() -> None:
    ours = {
        sample.name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        for family in fresh().registry.collect()
        for sample in family.samples
        if not family.name.startswith(("process_", "python_"))
    }
    listed = {name.removesuffix("_count") for name, _ in PRESET} | {"supervisor_build_info"}
    assert listed == ours, "PRESET in this file, and _PROMISED in tests/e2e/test_metrics.py"


def test_names_are_as_prometheus_wants_them() -> None:
    for family in fresh().registry.collect():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name)
        assert family.documentation
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_created"))
        if family.type == "counter":
            assert {f"{family.name}_total"} >= {sample.name for sample in family.samples}
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
        assert "job" not in {label for sample in family.samples for label in sample.labels}


def test_no_creation_times_are_rendered() -> None:
    assert b"_created" not in generate_latest(fresh().registry)


def test_the_rendering_can_be_read_back() -> None:
    text = generate_latest(fresh().registry).decode()
    assert {"supervisor_jobs_running", "supervisor_launches"} <= {
        family.name for family in text_string_to_metric_families(text)
    }


def test_the_catalogue_of_area_makes_fewer_than_2200_samples() -> None:
    metrics = fresh(tuple(load_catalog()))
    lines = generate_latest(metrics.registry).decode().splitlines()
    assert 2200 > len([line for line in lines if not line.startswith("#")])


@pytest.mark.parametrize(
    ("name", "label"), [("timer", "timer"), ("made-up", "unknown"), ("", "unknown")]
)
def test_a_name_that_a_client_made_up_is_no_label(name: str, label: str) -> None:
    assert label == fresh().job_label(name)


def test_names_that_clients_make_up_make_no_series() -> None:
    metrics = fresh()
    before = len(generate_latest(metrics.registry).splitlines())
    for number in range(50):
        metrics.count_failure(f"made-up-{number}", "launch", "unknown_job")
        metrics.job_moved(f"made-up-{number}", None, "starting", live=1)
    assert before == len(generate_latest(metrics.registry).splitlines())
    assert 50 == metrics.registry.get_sample_value(
        "supervisor_failures_total",
        {"job_name": "unknown", "operation": "launch", "reason": "unknown_job"},
    )


def test_a_state_that_nobody_has_preset_is_counted_all_the_same() -> None:
    metrics = fresh()
    metrics.job_moved("timer", None, "thawing", live=0)
    assert 1 == metrics.registry.get_sample_value("supervisor_jobs", {"state": "thawing"})
    metrics.job_moved("timer", "thawing", None, live=0)
    assert 0 == metrics.registry.get_sample_value("supervisor_jobs", {"state": "thawing"})


def test_a_failure_counts_under_the_name_of_its_job() -> None:
    metrics = fresh()
    metrics.count_failure("timer", "launch", "timeout")
    assert 1 == metrics.registry.get_sample_value(
        "supervisor_failures_total",
        {"job_name": "timer", "operation": "launch", "reason": "timeout"},
    )


def test_two_may_live_in_one_process() -> None:
    one, other = fresh(), fresh()
    one.orphans_removed.inc()
    assert 0 == other.registry.get_sample_value("supervisor_orphans_removed_total")


def test_the_exemplar_is_the_trace_that_is_kept() -> None:
    with sampled_span() as span:
        trace_id = format(span.get_span_context().trace_id, "032x")
        assert {"trace_id": trace_id} == trace_exemplar()


def test_without_a_trace_that_is_kept_there_is_no_exemplar() -> None:
    assert trace_exemplar() is None
    with unsampled_span():
        assert trace_exemplar() is None


def test_an_exemplar_is_rendered_for_those_who_ask_for_openmetrics() -> None:
    metrics = fresh()
    with sampled_span():
        metrics.launch_duration.labels("launched").observe(0.3, trace_exemplar())
    exemplars = [
        sample.exemplar
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.exemplar
    ]
    assert [0.3] == [exemplar.value for exemplar in exemplars]
