"""What Engines tell of the usage of a container."""

from typing import Any

import pytest

from service.engine.docker.parsing import Unreadable
from service.engine.docker.usage import usage
from service.engine.output import Usage

_MACHINE = 8 * 2**30
_READ = "2026-11-30T02:13:20.500000000Z"


def _answer(**changes: Any) -> dict[str, Any]:
    return {
        "read": _READ,
        "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}, "online_cpus": 2},
        "memory_stats": {"usage": 1000, "limit": 2**30, "stats": {"inactive_file": 300}},
        "pids_stats": {"current": 4},
    } | changes


def test_it_is_read_as_docker_shows_it() -> None:
    assert Usage(1_796_004_800.5, 2.5, 700, 2**30, 4) == usage(_answer(), _MACHINE)


@pytest.mark.parametrize(
    ("memory", "used"),
    [
        ({"usage": 1000, "stats": {"total_inactive_file": 400, "inactive_file": 1}}, 600),
        ({"usage": 1000, "stats": {"inactive_file": 400}}, 600),
        ({"usage": 1000, "stats": {"inactive_file": 1000}}, 1000),
        ({"usage": 1000}, 1000),
        ({}, 0),
    ],
)
def test_what_the_kernel_would_give_back_does_not_count(memory: dict[str, Any], used: int) -> None:
    found = usage(_answer(memory_stats=memory), _MACHINE)
    assert found is not None
    assert (used, 0) == (found.memory, found.memory_limit)


def test_the_memory_of_the_machine_is_no_limit() -> None:
    found = usage(_answer(memory_stats={"usage": 1, "limit": _MACHINE}), _MACHINE)
    assert found is not None
    assert 0 == found.memory_limit


@pytest.mark.parametrize("answer", [{}, {"read": ""}, {"read": "0001-01-01T00:00:00Z"}])
def test_a_container_that_does_not_run_uses_nothing(answer: dict[str, Any]) -> None:
    assert usage(answer, _MACHINE) is None


@pytest.mark.parametrize(
    "answer", [[], "x", _answer(cpu_stats=3), _answer(read="soon"), _answer(memory_stats=[])]
)
def test_anything_else_is_unreadable(answer: object) -> None:
    with pytest.raises(Unreadable):
        usage(answer, _MACHINE)
