"""What comes in frames, and times."""

import struct

import pytest

from service.engine.docker.parsing import Unreadable
from service.engine.swarm.answers import seconds
from service.engine.swarm.output import output_of
from service.errors import EngineRefused


def _frame(kind: int, text: bytes) -> bytes:
    return struct.pack(">BxxxL", kind, len(text)) + text


def test_an_output_is_what_is_in_its_frames() -> None:
    assert b"one\ntwo\n" == output_of(_frame(1, b"one\n") + _frame(2, b"two\n"))
    assert b"" == output_of(b"")
    assert b"half" == output_of(_frame(1, b"half of it")[:12])


def test_an_error_in_the_stream_is_raised() -> None:
    with pytest.raises(EngineRefused, match=r"^Error grabbing logs: who knows$"):
        output_of(_frame(1, b"one\n") + _frame(3, b"Error grabbing logs: who knows\n"))
    with pytest.raises(EngineRefused, match=r"^the node that it ran on is not available$"):
        output_of(_frame(3, b"Error grabbing logs: rpc error: node n1 is not available"))


def test_a_time_has_nanoseconds() -> None:
    assert 1.5 == seconds("1970-01-01T00:00:01.500000001Z")
    with pytest.raises(Unreadable):
        seconds("yesterday")
