"""The tests that an Engine cannot pass, each with the reason: it lacks what they ask of it."""

from collections.abc import Iterable, Mapping

import pytest

from scripts import engines

_KEEPS = "its containers run on whatever becomes of its service: a stop or a crash ends no job"
_NO_CONTAINERD = "it has no containerd that could hang"
_DOCKERS = "it is about Docker: the test makes the fault with Docker's own files or options"
_FILES = "a build of its asks for 1,048,576 open files, which this machine may not give"
_PIDS = "it limits each container to 2,048 processes by itself"
_CPUS = "it starts what asks for more processors than there are"

_READINESS_FALLS = (
    "tests/e2e/test_notice.py::test_readiness_falls_within_five_seconds_however_the_engine_goes"
)

# By Engine: what the ids of the tests begin with, and why they do not apply.
EXCLUDED: Mapping[str, Mapping[str, str]] = {
    "docker-26.1": {},
    "podman-5.4": {
        **dict.fromkeys(
            (
                "tests/e2e/test_ended_by_others.py",
                "tests/e2e/test_prometheus.py::test_an_alert_tells_of_jobs_that_others_have_ended",
                "tests/engine/test_contract.py::test_watch_tells_of_signals",
            ),
            "it tells of no signal that a stop or a removal by force sends, and of none by number",
        ),
        **dict.fromkeys(
            (
                "tests/e2e/test_metrics.py::test_an_engine_that_dies",
                "tests/e2e/test_engine_away.py::test_an_engine_that_is_stopped_takes_its_jobs",
                "tests/e2e/test_engine_away.py::test_jobs_that_a_crash_has_killed_are_lost",
                "tests/e2e/test_engine_away.py::test_crash_after_crash_it_comes_back_each_time",
                "tests/e2e/test_engine_leaving.py::test_whatever_a_worker_makes_of_sigterm",
                "tests/e2e/test_engine_leaving.py::test_the_alert_for_many_lost_jobs_tells",
                "tests/e2e/test_engine_leaving.py::test_nothing_is_told_as_stopping_while",
                "tests/e2e/test_engine_leaving.py::test_what_ends_by_itself_is_a_success_also",
                "tests/e2e/test_engine_leaving.py::test_a_launch_waits_for_an_engine_that_fails",
            ),
            _KEEPS,
        ),
        **dict.fromkeys(
            (
                "tests/e2e/test_engine_faults.py::test_a_hung_containerd_is_noticed",
                f"{_READINESS_FALLS}[freeze_containerd]",
            ),
            _NO_CONTAINERD,
        ),
        **dict.fromkeys(
            (
                "tests/e2e/test_set_aside.py::test_what_cannot_be_removed_blocks_neither",
                "tests/e2e/test_set_aside.py::test_an_exit_of_what_cannot_be_removed",
                "tests/e2e/test_set_aside.py::test_a_start_sets_aside_what_cannot_be_removed",
                "tests/e2e/test_set_aside.py::test_a_launch_clears_what_a_third_party",
                "tests/e2e/test_set_aside.py::test_what_cannot_be_renamed_either",
                "tests/e2e/test_surroundings.py::test_an_engine_that_remaps_users",
                "tests/e2e/test_surroundings.py::test_on_an_engine_that_remaps_users",
                "tests/engine/test_contract.py::test_docker_is_left_with_no_stop_where",
            ),
            _DOCKERS,
        ),
        **dict.fromkeys(
            (
                "tests/e2e/test_callback.py",
                "tests/e2e/test_worker_traces.py",
            ),
            _FILES,
        ),
        "tests/e2e/test_launch.py::test_a_job_without_limits_has_none": _PIDS,
        "tests/engine/test_contract.py::test_docker_sets_no_limit_that_nobody_asked_for": _PIDS,
        "tests/e2e/test_metrics.py::test_failures_that_a_request_brings_on": _CPUS,
    },
}


def leave_out(items: Iterable[pytest.Item]) -> None:
    """Skip what the chosen Engine cannot pass."""
    excluded = EXCLUDED.get(engines.chosen(), {})
    for item in items:
        for prefix, reason in excluded.items():
            if item.nodeid.startswith(prefix):
                item.add_marker(pytest.mark.skip(reason=reason))
