"""The catalogue's keys about health."""

from pathlib import Path

import pytest

from service.engine.workload_spec import Healthcheck
from service.jobs.catalog_file import load_catalog
from service.jobs.keys.values import read_duration, write_duration
from tests.unit.jobs.catalogs import entry, fault

_JOB = 'kind = "action", image = "x"'
_PERIOD = 'allowed is a number and ms, s, m or h, from "100ms" to "24h"'


def test_by_default_a_job_only_has_to_run(path: Path) -> None:
    found = entry(path, _JOB)
    assert (None, False, Healthcheck()) == (found.ready_within, found.checks_health, found.health)
    found = entry(path, f'{_JOB}, ready = "running", ready_timeout = "5m"')
    assert (None, False) == (found.ready_within, found.checks_health)


def test_a_job_has_two_minutes_to_become_healthy_or_as_long_as_it_says(path: Path) -> None:
    for more, seconds in (("", 120.0), (', ready_timeout = "90s"', 90.0)):
        found = entry(path, f'{_JOB}, ready = "healthcheck"{more}')
        assert seconds == found.ready_within
        assert Healthcheck(required=True) == found.health


def test_a_health_check_is_read(path: Path) -> None:
    check = '{ command = ["/a", "-x", "-x"], interval = "100ms", timeout = "1.5s", retries = 1000,'
    found = entry(path, f'{_JOB}, healthcheck = {check} start_period = "24h" }}')
    assert found.checks_health
    assert found.health == Healthcheck(
        command=("/a", "-x", "-x"), interval=0.1, timeout=1.5, retries=1000, start_period=86400.0
    )


def test_a_default_is_inherited_and_replaced_as_a_whole(path: Path) -> None:
    path.write_text(
        '[defaults]\nready = "healthcheck"\nhealthcheck = { retries = 2 }\n'
        f'[jobs]\na = {{ {_JOB} }}\nb = {{ {_JOB}, ready = "running", healthcheck = {{}} }}\n'
    )
    found = load_catalog(path)
    assert Healthcheck(retries=2, required=True) == found["a"].health
    assert Healthcheck() == found["b"].health


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ('ready = "healthy"', 'ready = \'healthy\': allowed is "running" or "healthcheck"'),
        ("ready = true", "ready = True: allowed is"),
        *(
            (f"ready_timeout = {value}", f"ready_timeout = {shown}: allowed is a number and ms, s,")
            for value, shown in (("5", "5"), ('"0s"', "'0s'"), ('"25h"', "'25h'"), ('"1d"', "'1d'"))
        ),
        ('healthcheck = "/a"', "healthcheck = '/a': allowed is a table, such as { command ="),
        ('healthcheck = { interval = "0s" }', f"healthcheck.interval = '0s': {_PERIOD}"),
        ('healthcheck = { timeout = "99ms" }', f"healthcheck.timeout = '99ms': {_PERIOD}"),
        ("healthcheck = { start_period = 1 }", f"healthcheck.start_period = 1: {_PERIOD}"),
        ("healthcheck = { retries = 0 }", "healthcheck.retries = 0: allowed is a whole number"),
        *(
            (
                f"healthcheck = {{ command = {value} }}",
                "healthcheck.command: allowed is a list of texts without NUL, of which the first",
            )
            for value in ("[]", '[""]', "[1]", '["a", "\\u0000"]')
        ),
        (
            "healthcheck = { test = [] }",
            "healthcheck.test: is not a key of the catalogue; `healthcheck` may have command, in",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_key(path: Path, keys: str, told: str) -> None:
    message = fault(path, f"[jobs]\nx = {{ {_JOB}, {keys} }}")
    assert message.startswith(f"jobs.x.{told}"), message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1ms", 0.001), ("1.5s", 1.5), ("15m", 900.0), ("0.5h", 1800.0), ("8784h", 31622400.0)],
)
def test_a_duration_is_read_and_written(text: str, seconds: float) -> None:
    assert seconds == read_duration(text) == read_duration(write_duration(seconds))


@pytest.mark.parametrize("text", [5, "5", "s", "-1s", "1 s", "1S", "1d", "1e3s", "8785h", ".5s"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        read_duration(text)
