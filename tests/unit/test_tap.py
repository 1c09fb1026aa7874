"""The reader of a log that the tests send to sleep, or away."""

import os
from pathlib import Path

import pytest

from tests.support.supervised import eventually
from tests.support.tap import Tap


def test_a_reader_that_sleeps_gets_everything_later(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tap = Tap(log)
    with tap.writer() as writing:
        with tap.trouble("sleeps"):
            os.write(writing, b"1\n")
        os.write(writing, b"2\n")
    eventually(lambda: log.read_bytes() == b"1\n2\n")


def test_a_reader_that_goes_is_missed_and_comes_back(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tap = Tap(log)

    def gone() -> bool:
        try:
            os.write(writing, b"1\n")
        except BrokenPipeError:
            return True
        return False

    def back() -> bool:
        return not gone()

    with tap.writer() as writing:
        with tap.trouble("goes"):
            eventually(gone)
            with pytest.raises(BrokenPipeError):
                os.write(writing, b"2\n")
        eventually(back)
        os.write(writing, b"3\n")
    eventually(lambda: log.read_bytes().endswith(b"3\n"))
    assert b"2" not in log.read_bytes()
