"""What a test needs, as markers of pytest: by the folder that it is in, and by its fixtures.

pyproject.toml describes the markers. `make test-fast` runs what is neither `root` nor `slow`, and
`make test` what is neither `swarm` nor `proxy` nor `long`.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePath

import pytest

_TESTS = Path(__file__).parents[1]

# By folder; a file that differs from its folder has an entry of its own. Fixtures add `engine`.
NEEDS: Mapping[str, Collection[str]] = {
    "access": (),
    "access/test_console.py": {"slow"},
    "access/test_credentials.py": {"slow"},
    "access/test_every_method.py": {"slow"},
    "access/test_example_clients.py": {"root"},  # Node
    "access/test_fuzz.py": {"slow"},  # drawn by Hypothesis
    "chaos": {"engine", "slow"},
    "chaos/test_checks.py": (),
    "console": {"root"},  # Chromium
    "dashboards": (),
    "dashboards/test_probes.py": {"root"},  # systemd-analyze
    "dashboards/test_promtool.py": {"root"},
    "dashboards/test_provisioning.py": {"root"},  # jq
    "dashboards/test_runbook_url.py": {"root"},  # Prometheus
    "e2e": {"engine"},
    "engine": (),
    "engine/test_simulated_manager.py": {"slow"},
    "proxy": {"engine", "proxy"},
    "scripts": (),
    "scripts/test_demo.py": {"root"},  # an Engine
    "scripts/test_engines.py": {"root"},  # mounts
    "scripts/test_fix.py": {"slow"},
    "scripts/test_images.py": {"root"},  # busybox-static
    "scripts/test_own_folder.py": {"root"},  # mounts
    "scripts/test_private_engine.py": {"root"},  # an Engine
    "simulation": {"slow"},
    "simulation/test_parts.py": (),
    "soak": {"engine", "slow"},
    "supervisor": (),
    "supervisor/test_engine_calls.py": {"slow"},  # hundreds of jobs
    "supervisor/test_health.py": {"slow"},
    "supervisor/test_many_jobs.py": {"slow"},
    "supervisor/test_many_observed_jobs.py": {"slow"},
    "supervisor/test_sequences.py": {"slow"},  # sequences drawn by Hypothesis
    "supervisor/test_time_limits.py": {"slow"},
    "supervisor/test_unhealthy.py": {"slow"},
    "swarm": {"engine", "swarm"},
    "test_readme.py": {"engine"},
    "test_runbook.py": {"engine"},
    "tls": (),
    "tls/test_process.py": {"slow"},  # starts processes
    "unit": (),
    "unit/api/test_crash.py": {"slow"},
    "unit/api/test_server.py": {"slow"},
    "unit/app/test_secrets_in_settings.py": {"slow"},
    "unit/app/test_tls_ports.py": {"slow"},
    "unit/cli/test_cli.py": {"slow"},
    "unit/cli/test_client_commands.py": {"slow"},
    "unit/cli/test_processes.py": {"slow"},
    "unit/history/test_disk.py": {"root"},  # mounts
    "unit/history/test_killed.py": {"slow"},  # kills processes
    "unit/history/test_many.py": {"slow"},  # 100,000 jobs
    "unit/jobs/test_arguments.py": {"slow"},
    "unit/jobs/test_workload_names.py": {"slow"},
    "unit/observability/redaction/test_worst_case.py": {"slow"},
}

# Cases that show the same as a smaller one, or as another seed.
LONG = frozenset(
    {
        "chaos/test_chaos.py::test_after_turmoil_everything_is_true_again[2]",
        "chaos/test_chaos.py::test_after_turmoil_everything_is_true_again[3]",
        ("console/test_log.py::test_a_log_that_gushes_neither_stalls_nor_fills_the_page[1000000]"),
        "console/test_real.py::test_a_log_of_a_hundred_megabytes_is_kept_by_nobody[1000000]",
        "e2e/test_limits.py::test_a_burst_waits_its_turn_and_loses_none[500]",
        (
            "simulation/test_simulation.py::"
            "test_whatever_happens_in_whatever_order_no_invariant_is_violated[2]"
        ),
    }
)

# Fixtures that start an Engine. That of the contract does so in one of its cases.
_SWARM_RIGS = frozenset({"swarm_rig", "rig_of_three"})  # which make a Swarm when they are called
_ENGINE = frozenset({"engine", "docker_rig"}) | _SWARM_RIGS
_SWARM = frozenset({"swarm", "swarm_of_three", "managers"}) | _SWARM_RIGS
_EITHER, _ONE = "rig", "swarm"
_IN_MEMORY = ("fake", "polled", "simulated")


def mark(items: Iterable[pytest.Item]) -> None:
    """Give each test its markers. Raises UsageError for a folder of tests/ that NEEDS lacks."""
    for item in items:
        for name in sorted(_needs(item)):
            item.add_marker(name)


def _needs(item: pytest.Item) -> set[str]:
    ours = item.path.is_relative_to(_TESTS)  # the tests of this have tests elsewhere
    found = {*of(item.path.relative_to(_TESTS))} if ours else set()
    if _starts_an_engine(item):
        found.add("engine")
    if ours and item.nodeid.removeprefix("tests/") in LONG:
        found.add("long")
    return found | {"root"} if "engine" in found else found


def starts_a_swarm(item: pytest.Item) -> bool:
    """Whether a test makes a Swarm of its own, whatever the chosen Engine."""
    return bool(_fixtures(item) & _SWARM) or _case(item) == _ONE


def _starts_an_engine(item: pytest.Item) -> bool:
    fixtures = _fixtures(item)
    return bool(fixtures & _ENGINE) or (_EITHER in fixtures and _case(item) not in _IN_MEMORY)


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


def _case(item: pytest.Item) -> object:
    """The engine of the contract."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(_EITHER) if callspec else None


def of(file: PurePath) -> Collection[str]:
    """What all tests of a file need; its path is relative to tests/."""
    for entry in (file, *file.parents):
        if (needs := NEEDS.get(entry.as_posix())) is not None:
            return needs
    raise pytest.UsageError(
        f"tests/{file}: enter the folder into NEEDS of tests/support/needs.py,"
        " with what its tests need"
    )
