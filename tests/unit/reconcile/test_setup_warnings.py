"""What is told of keys of the catalogue that the engine, or this process, has nothing for."""

import asyncio
from collections.abc import MutableMapping
from typing import Any
from unittest import mock

import pytest
from structlog.testing import capture_logs

from service.engine.configuration import Offers
from service.jobs.catalog import Catalog
from service.jobs.catalog_keys import Entry
from service.reconcile.setup_warnings import SetupWarnings
from service.settings import Settings
from tests.fake_engine.engine import FakeEngine


def _warnings(engine: FakeEngine, *jobs: dict[str, Any], **settings: Any) -> SetupWarnings:
    entries = [Entry.model_validate({"kind": "action", "image": "x"} | keys) for keys in jobs]
    catalog = Catalog({f"job-{number}": entry for number, entry in enumerate(entries)})
    return SetupWarnings(engine, catalog, Settings.model_validate(settings))


def _told(logs: list[MutableMapping[str, Any]]) -> list[tuple[str, str]]:
    return [(entry["about"], entry["meaning"]) for entry in logs]


@pytest.fixture
def engine() -> FakeEngine:
    made = FakeEngine({}, images=[])
    made.has_offers = Offers(
        runtimes=frozenset({"runc", "runsc"}),
        more_runtimes=("shim.",),
        log_drivers=frozenset({"none", "local", "loki"}),
    )
    return made


async def test_a_runtime_that_the_engine_lacks_is_told_with_the_jobs_that_ask_for_it(
    engine: FakeEngine,
) -> None:
    jobs = [{"runtime": "kata"}] * 6
    with capture_logs() as logs:
        await _warnings(engine, *jobs, {"runtime": "runsc"}, {}).check_engine()
    (told,) = logs
    assert ("warning", "surroundings.noticed", "runtime") == (
        told["log_level"],
        told["event"],
        told["about"],
    )
    assert (
        "no runtime kata, and refuses each launch of job-0, job-1, job-2, job-3, job-4 and"
        in (told["meaning"])
    )
    assert "runc, runsc" in told["helps"]


async def test_a_log_driver_that_the_engine_lacks_is_told_once(engine: FakeEngine) -> None:
    logs_of = [{"log": {"driver": each}} for each in ("loki", "loki:latest", "none", "journald")]
    with capture_logs() as logs:
        warnings = _warnings(engine, *logs_of, {"log": {"options": {"max-size": "1m"}}})
        await warnings.check_engine()
        await warnings.check_engine()
    ((about, meaning),) = _told(logs)
    assert "log" == about
    assert "no log driver journald, and refuses each launch of job-3" in meaning


async def test_all_checks_that_are_asked_for_during_one_are_made_as_one_after_it(
    engine: FakeEngine,
) -> None:
    warnings = _warnings(engine)
    with mock.patch.object(engine, "traits", wraps=engine.traits) as traits:
        await asyncio.gather(*(warnings.check_engine() for _ in range(50)))
        assert 2 == traits.call_count
        await warnings.check_engine()
        assert 3 == traits.call_count


async def test_an_engine_that_is_asked_for_nothing_is_not_asked(engine: FakeEngine) -> None:
    await _warnings(engine, {}).check_engine()
    assert 0 == engine.calls["offers"]


async def test_a_runtime_that_may_be_there_without_being_listed_is_not_warned_of(
    engine: FakeEngine,
) -> None:
    with capture_logs() as logs:
        await _warnings(engine, {"runtime": "shim.kata"}).check_engine()
    assert ([], 1) == (logs, engine.calls["offers"])


async def test_an_engine_that_does_not_tell_what_it_has_is_not_warned_of(
    engine: FakeEngine,
) -> None:
    engine.has_offers = Offers()
    with capture_logs() as logs:
        await _warnings(engine, {"runtime": "kata"}).check_engine()
    assert [] == logs


def test_a_variable_that_is_not_set_is_told_at_the_start(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THERE", "x")
    monkeypatch.delenv("MISSING", raising=False)
    job = {"pass_environment": ["THERE", "MISSING"]}
    with capture_logs() as logs:
        _warnings(engine, job, {"pass_environment": ["MISSING"]}).check_settings()
    told = ("pass_environment", "MISSING is not set: job-0, job-1 are launched without it")
    assert [told] == _told(logs)


@pytest.mark.parametrize(
    ("jobs", "network", "about"),
    [
        ([{}, {"network": "weather"}], "host", ["GRPC_CALLBACK_HOST"]),
        ([{"network": "host"}], "weather", []),
        ([{"network": "weather", "image": None}], "host", []),
        ([], "weather", ["GRPC_CALLBACK_HOST"]),
    ],
)
def test_a_network_of_a_job_in_which_localhost_is_the_job_is_told(
    engine: FakeEngine, jobs: list[dict[str, Any]], network: str, about: list[str]
) -> None:
    with capture_logs() as logs:
        _warnings(engine, *jobs, job_network=network).check_settings()
    assert about == [each for each, _ in _told(logs)]
