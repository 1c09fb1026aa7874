"""What the Engine's answers say of a container's health."""

from typing import Any

import pytest

from service.engine.docker.event_parser import event
from service.engine.docker.inspections import inspection
from service.engine.docker.listings import workload
from service.engine.events import Change
from service.engine.workloads import Health, Probe

_LISTED = {"Id": "c1", "Names": ["/a-1"], "Labels": {}, "State": "running", "Created": 0}
_RUNNING = {
    "Status": "running",
    "Paused": False,
    "OOMKilled": False,
    "ExitCode": 0,
    "StartedAt": "2026-11-29T04:00:00Z",
    "FinishedAt": "0001-01-01T00:00:00Z",
}


def _inspected(health: Any, **state: Any) -> dict[str, Any]:
    return {"Id": "c1", "State": _RUNNING | {"Health": health} | state, "Config": {}}


def _probed(*codes: int) -> list[dict[str, Any]]:
    return [{"ExitCode": code, "Output": f"said {code}"} for code in codes]


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("Up 5 minutes", Health.UNKNOWN),
        ("Up 5 minutes (health: starting)", Health.STARTING),
        ("Up 5 minutes (healthy)", Health.HEALTHY),
        ("Up 5 minutes (unhealthy)", Health.UNHEALTHY),
        ("Up 5 minutes (Paused)", Health.UNKNOWN),
        (None, Health.UNKNOWN),
    ],
)
def test_a_list_tells_it_in_words(status: str | None, health: Health) -> None:
    assert health is workload(_LISTED | {"Status": status}).health


@pytest.mark.parametrize(
    ("told", "health", "probe"),
    [
        (None, Health.UNKNOWN, None),
        ({"Status": "none"}, Health.UNKNOWN, None),
        ({"Status": ""}, Health.UNKNOWN, None),  # Podman's
        ({"Status": "starting", "Log": []}, Health.STARTING, None),
        ({"Status": "starting", "Log": None}, Health.STARTING, None),
        ({"Status": "healthy", "Log": _probed(1, 0)}, Health.HEALTHY, Probe(0, "said 0")),
        ({"Status": "unhealthy", "Log": _probed(0, 7)}, Health.UNHEALTHY, Probe(7, "said 7")),
    ],
)
def test_an_inspection_tells_it_with_the_last_probe(
    told: Any, health: Health, probe: Probe | None
) -> None:
    seen = inspection(_inspected(told))
    assert (health, probe) == (seen.health, seen.probe)
    assert "said" not in repr(seen)


def test_a_pause_does_not_make_a_container_unhealthy() -> None:
    told = {"Status": "unhealthy", "Log": _probed(0)}
    assert Health.UNKNOWN is inspection(_inspected(told, Paused=True)).health
    assert Health.HEALTHY is inspection(_inspected(told)).health
    told = {"Status": "unhealthy", "Log": []}  # before its first probe
    assert Health.STARTING is inspection(_inspected(told)).health


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("health_status: healthy", Change.HEALTHY),
        ("health_status: unhealthy", Change.UNHEALTHY),
        ("health_status: running", None),
        ("exec_create: /bin/busybox", None),
    ],
)
def test_an_event_tells_a_change_of_it(action: str, change: Change | None) -> None:
    found = event({"Action": action, "Actor": {"ID": "c1", "Attributes": {}}})
    assert change == (found and found.change)
