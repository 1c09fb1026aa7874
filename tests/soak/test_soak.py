"""A short soak; `make soak` runs some thousand cycles."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from scripts.private_engine import ensure_installed
from tests.soak.curve import show
from tests.soak.run import soak
from tests.soak.samples import USES, Sample, grown


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("rough", "seconds"), [(False, 20), (True, 15)], ids=["smooth", "few means, no reader"]
)
def test_nothing_grows(tmp_path: Path, *, rough: bool, seconds: float) -> None:
    ensure_installed()
    done = soak(tmp_path, duration=seconds, cycles=10_000, sampled_every=0.5, rough=rough)
    show(Console(), done.samples)
    assert [] == grown(done.samples)
    assert done.done.total() > 0
    assert done.samples[-1].connections > 0


_FLAT = [
    Sample(float(n), n, threads=20, files=30, megabytes=70, connections=15, jobs=6)
    for n in range(30)
]


def test_flat_is_not_grown_and_neither_is_what_warms_up() -> None:
    assert [] == grown(_FLAT)
    assert [] == grown([replace(one, threads=1, files=1, megabytes=9) for one in _FLAT[:6]] + _FLAT)


@pytest.mark.parametrize("name", ["threads", "files", "megabytes", "connections", "jobs"])
def test_what_grows_is_told(name: str) -> None:
    def growing(number: int) -> dict[str, int]:
        return {name: 20 + 2 * number}

    samples = [replace(one, **growing(number)) for number, one in enumerate(_FLAT)]
    (told,) = grown(samples)
    assert "in the first third" in told
    assert 5 == len(USES)
