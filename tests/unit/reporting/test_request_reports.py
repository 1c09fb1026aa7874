import time
from typing import Any

import pytest

from observability.metrics import Metrics
from service.app.metric_labels import new_metrics
from service.errors import ImageMissing, SupervisorError
from service.reporting import request_reports
from service.reporting.request_reports import record_failure
from tests.support.samples import NAMES


class Log:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def warning(self, event: str, **details: Any) -> None:
        self.told.append({"event": event, **details})


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(request_reports, "log", log)
    return log


@pytest.fixture
def metrics() -> Metrics:
    return new_metrics(NAMES, version="1", engine="docker", mode="production")


def counted(metrics: Metrics) -> float:
    return sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "supervisor_failures_total"
    )


_BEGAN = time.perf_counter() - 2
ERROR: SupervisorError = ImageMissing("image x: is not there")


def test_a_failure_is_counted_and_logged(log: Log, metrics: Metrics) -> None:
    record_failure(metrics, "launch", "timer", "t-1", ERROR, began=_BEGAN)
    assert 1 == counted(metrics)
    assert 1 == metrics.registry.get_sample_value(
        "supervisor_failures_total",
        {"job_name": "timer", "operation": "launch", "reason": "image_missing"},
    )
    assert [
        {
            "event": "request.failed",
            "operation": "launch",
            "job": "timer",
            "identifier": "t-1",
            "code": 422,
            "error": "image x: is not there",
        }
    ] == [{key: value for key, value in told.items() if key != "seconds"} for told in log.told]
    assert log.told[0]["seconds"] >= 2


def test_a_name_that_a_client_made_up_is_counted_as_unknown(metrics: Metrics) -> None:
    record_failure(metrics, "launch", "n" * 100_000, "i" * 100_000, ERROR, began=_BEGAN)
    assert 1 == metrics.registry.get_sample_value(
        "supervisor_failures_total",
        {"job_name": "unknown", "operation": "launch", "reason": "image_missing"},
    )
