"""What the Engine answers to a request for logs, in whatever pieces it arrives."""

from collections.abc import Sequence
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.docker.log_parser import LogParser, text_of
from service.engine.docker.parsing import Unreadable
from service.engine.output import Printed
from service.errors import EngineRefused

_AT = 1_796_002_400 * 10**9 + 123_456_789
_TIME = b"2026-11-30T01:33:20.123456789Z "
_KINDS = {"stdout": 1, "stderr": 2}


def frame(text: bytes, stream: str = "stdout", time: bytes = _TIME) -> bytes:
    payload = time + text
    return pack(">BxxxL", _KINDS[stream], len(payload)) + payload


def read(*parts: bytes) -> Sequence[Printed]:
    parser = LogParser()
    lines = [line for part in parts for line in parser.feed(part)]
    return [*lines, *parser.rest()]


@given(
    st.lists(st.tuples(st.sampled_from(sorted(_KINDS)), st.text("ä\tb \r", max_size=9))),
    st.lists(st.integers(1, 60), min_size=1),
    st.booleans(),
)
@settings(max_examples=100)
def test_it_does_not_matter_where_an_answer_is_cut(
    lines: Sequence[tuple[str, str]], sizes: Sequence[int], terminal: bool
) -> None:
    if terminal:
        lines = [("stdout", text) for _, text in lines]
        answer = b"".join(_TIME + text.encode() + b"\r\n" for _, text in lines)
    else:
        answer = b"".join(frame(text.encode() + b"\n", stream) for stream, text in lines)
        lines = [(stream, text.removesuffix("\r")) for stream, text in lines]
    parts, number = [], 0
    while answer:
        size = sizes[number % len(sizes)]
        parts.append(answer[:size])
        answer, number = answer[size:], number + 1
    assert [Printed(stream, text, _AT) for stream, text in lines] == read(*parts)


@pytest.mark.parametrize(
    ("time", "at"),
    [
        (b"2026-11-30T01:33:20.123456789Z ", _AT),
        (b"2026-11-30T02:33:20.123456789+01:00 ", _AT),  # Podman's
        (b"2026-11-30T01:33:20.1Z ", _AT - 23_456_789),
        (b"2026-11-30T01:33:20Z ", _AT - 123_456_789),
        (b"2026-13-30T01:33:20Z ", 0),
    ],
)
def test_times_are_read_to_the_nanosecond(time: bytes, at: int) -> None:
    (line,) = read(frame(b"x\n", time=time))
    assert at == line.at
    assert "x" == line.text


def test_a_line_without_a_time_has_none() -> None:
    assert [Printed("stdout", "2026 was a year", 0)] == read(frame(b"2026 was a year\n", time=b""))


def test_the_parts_of_a_line_are_put_together_and_those_of_a_long_one_told() -> None:
    head, tail = b"a" * 16_384, b"b\n"
    assert [Printed("stdout", (head + tail).decode()[:-1], _AT)] == read(frame(head), frame(tail))
    long = read(*[frame(head)] * 5, frame("ä".encode() * 3), frame(tail))
    assert [32_768, 32_768, 16_388] == [len(line.text) for line in long]
    assert [False, False, True] == [line.ends for line in long]
    assert {_AT} == {line.at for line in long}


def test_the_streams_do_not_mix() -> None:
    mixed = read(frame(b"one"), frame(b"err\n", "stderr"), frame(b" line\n"))
    assert [("stderr", "err"), ("stdout", "one line")] == [(x.stream, x.text) for x in mixed]


def test_a_line_that_did_not_end_is_told_at_the_end() -> None:
    assert ["one", "two"] == [line.text for line in read(frame(b"one\n"), frame(b"two"))]
    assert ["one", "two"] == [line.text for line in read(_TIME + b"one\n" + _TIME + b"two")]


def test_a_long_line_of_a_terminal_comes_in_parts() -> None:
    parts = [_TIME, *[b"x" * 10_000] * 8, b"\r\n", _TIME + b"end\r\n"]
    lines = read(*parts)
    assert "x" * 80_000 == "".join(line.text for line in lines[:-1])
    assert all(len(line.text) <= 32_768 for line in lines)
    assert Printed("stdout", "end", _AT) == lines[-1]


@pytest.mark.parametrize(
    ("reported", "told"),
    [
        (b"Error grabbing logs: who knows\n", "Error grabbing logs: who knows"),
        (
            b"Error grabbing logs: rpc error: node n1 is not available",
            "the node that it ran on is not available",
        ),
    ],
)
def test_what_a_manager_reports_in_the_stream_is_an_error(reported: bytes, told: str) -> None:
    with pytest.raises(EngineRefused) as caught:
        read(frame(b"x\n"), _reported(reported))
    assert told == caught.value.message


def _reported(words: bytes) -> bytes:
    return pack(">BxxxL", 3, len(words)) + words


def test_what_was_printed_before_a_manager_reports_an_error_is_not_lost() -> None:
    parser = LogParser()
    printed = parser.feed(frame(b"x\n") + _reported(b"Error grabbing logs: who knows"))
    assert ["x"] == [line.text for line in printed]
    with pytest.raises(EngineRefused, match="who knows"):
        parser.check()
    with pytest.raises(EngineRefused, match="who knows"):
        parser.rest()


def test_tasks_that_have_never_run_have_no_output_and_that_is_no_error() -> None:
    warning = (
        b"Error grabbing logs: rpc error: code = Unknown desc = warning: incomplete log stream."
        b" some logs could not be retrieved for the following reasons:"
    )
    never = b" task t1 has not been scheduled"
    for harmless in (warning + never, warning + never + b"," + never + b"\n"):
        assert ["x"] == [line.text for line in read(frame(b"x\n") + _reported(harmless))]
    with pytest.raises(EngineRefused, match="the node that it ran on is not available"):
        read(_reported(warning + b" node n1 is not available," + never))


@pytest.mark.parametrize("kind", [(9, 4), (1, 2**31)])
def test_a_malformed_frame_is_no_output(kind: tuple[int, int]) -> None:
    with pytest.raises(Unreadable):
        read(frame(b"x\n"), pack(">BxxxL", *kind) + b"s3cr")


def test_a_whole_answer_becomes_a_text() -> None:
    assert "one\ntwo\n" == text_of(frame(b"one\n") + frame(b"two\n", "stderr"))
    assert "said\n" == text_of(_TIME + b"said")
    assert "" == text_of(b"")
