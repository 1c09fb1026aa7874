"""Histories to test with, whose threads wait for no long time."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from observability.metrics import Metrics
from service.app.metric_labels import new_metrics
from service.history import writer
from service.history.history import History
from service.settings import Settings
from tests.support.samples import NAMES

Opens = Callable[..., History]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_GATHERING", 0.01)
    monkeypatch.setattr(writer, "_FIRST_TRY", 0.02)
    monkeypatch.setattr(writer, "_LAST_TRY", 0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture
def metrics() -> Metrics:
    return new_metrics(NAMES, version="1", engine="docker", mode="production")


@pytest.fixture
def value(metrics: Metrics) -> Callable[..., float]:
    """A metric's value."""

    def read(name: str, **labels: str) -> float:
        found = metrics.registry.get_sample_value(f"supervisor_history_{name}", labels)
        assert found is not None
        return found

    return read


@pytest.fixture
async def opens(path: Path, metrics: Metrics) -> AsyncIterator[Opens]:
    """Opens a history, with settings; all are closed afterwards."""
    async with AsyncExitStack() as stack:

        def open_one(**settings: Any) -> History:
            history = History(metrics, Settings(**{"history_file": path} | settings))
            history.start()
            stack.push_async_callback(history.close, within=5)
            return history

        yield open_one
