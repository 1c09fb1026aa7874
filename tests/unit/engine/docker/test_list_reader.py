"""Long lists are read in pieces, whatever pieces they come in."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.docker.list_reader import elements, with_pauses
from service.engine.docker.parsing import Unreadable

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def in_pieces(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


@given(
    values=st.lists(VALUES, max_size=6), size=st.integers(1, 40), indent=st.sampled_from([None, 1])
)
def test_a_list_is_read_as_json_reads_it(values: list[Any], size: int, indent: int | None) -> None:
    text = json.dumps(values, ensure_ascii=False, indent=indent).encode()
    assert values == list(elements(in_pieces(text, size)))


@pytest.mark.parametrize("number", ["7", "-0.0", "12.5", "1e5", "2E-7", "3.25e+10"])
@pytest.mark.parametrize("size", range(1, 8))
def test_a_number_may_come_in_pieces(number: str, size: int) -> None:
    text = f"[{number}, {number} ,{number}]"
    assert json.loads(text) == list(elements(in_pieces(text.encode(), size)))


def test_an_element_is_there_before_the_next_one_has_come() -> None:
    def chunks() -> Iterator[bytes]:
        yield b'[{"Id": 1}, {"I'
        yield b'd": 2}, '
        pytest.fail("nobody has asked for more")

    found = elements(chunks())
    assert [{"Id": 1}, {"Id": 2}] == [next(found), next(found)]


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "it is not a list"),
        (b"{}", "it is not a list"),
        (b"null", "it is not a list"),
        (b"<html>", "it is not a list"),
        (b"[", "it is not JSON"),
        (b"[7", "it is not JSON"),
        (b"[7,", "it is not JSON"),
        (b"[7,]", "it is not JSON"),
        (b"[7 8]", "it is not JSON"),
        (b"[7}", "it is not JSON"),
        (b"[7] 8", "it is not JSON"),
        (b"[] []", "it is not JSON"),
        (b'["half', "it is not JSON"),
        (b'["\xff"]', "it is not JSON"),
        (b'["\xc3', "it is not JSON"),
    ],
)
def test_what_is_no_list_is_unreadable(text: bytes, told: str, size: int) -> None:
    with pytest.raises(Unreadable, match=told):
        list(elements(in_pieces(text, size)))


def test_a_long_element_is_not_decoded_anew_for_each_of_its_pieces() -> None:
    text = json.dumps(["x" * 2**21]).encode()
    began = time.thread_time()
    assert [2**21] == [len(each) for each in elements(in_pieces(text, 64))]
    assert time.thread_time() - began < 5  # with 32,768 times it would be minutes


def test_a_thread_that_reads_sleeps_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python would let it keep the interpreter for 5 ms each time."""
    now, slept = 0.0, list[float]()

    def sleep(seconds: float) -> None:
        slept.append(now)
        assert 0 < seconds < 0.001

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    for _ in with_pauses(range(100)):
        now += 0.0001
    assert 100 * 0.0001 / 0.001 <= len(slept)
