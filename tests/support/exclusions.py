"""The tests that an Engine cannot pass, each with the reason: it lacks what they ask of it."""

from collections.abc import Iterable, Mapping

import pytest

from scripts import engines

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
    },
}


def leave_out(items: Iterable[pytest.Item]) -> None:
    """Skip what the chosen Engine cannot pass."""
    excluded = EXCLUDED.get(engines.chosen(), {})
    for item in items:
        for prefix, reason in excluded.items():
            if item.nodeid.startswith(prefix):
                item.add_marker(pytest.mark.skip(reason=reason))
