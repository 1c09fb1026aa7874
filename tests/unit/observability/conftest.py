from collections.abc import Iterator

import pytest


@pytest.fixture
def quiet(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is printed, nor logged by the endpoint, up to its end: asyncio logs what it gets."""
    yield
    records = caplog.get_records("call") + caplog.get_records("teardown")
    logged = [each.getMessage() for each in records if each.threadName in ("http", "scrapes_0")]
    assert ([], "", "") == (logged, *capfd.readouterr())
