import pytest

from service.engine.docker.parsing import Unreadable
from service.engine.swarm.answers import seconds


def test_a_time_has_nanoseconds() -> None:
    assert 1.5 == seconds("1970-01-01T00:00:01.500000001Z")
    assert 0.0 == seconds("0001-01-01T00:00:00Z")
    with pytest.raises(Unreadable):
        seconds("yesterday")
