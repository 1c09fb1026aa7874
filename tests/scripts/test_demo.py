"""However the demo ends, it cleans up, and says first what went wrong."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# The demo with another play: it works until it is interrupted, or fails.
_PLAY = """
import os, sys, time
from pathlib import Path
from scripts import demo

def clean_up():
    for number in map(int, sys.argv[2:]):
        os.kill(os.getpid(), number)
    Path(sys.argv[1]).touch()

def perform(stack):
    stack.callback(clean_up)
    print("at work", flush=True)
    {what}

demo._perform = perform
sys.exit(demo.main())
"""
_FRESH = ["env", "--default-signal"]  # whatever those ignore who run the tests
_WORK = "time.sleep(60)"
_FAIL = "raise demo.DemoError('This does not hold')"


def _command(cleaned: Path, what: str = _WORK, *signals: signal.Signals) -> list[str]:
    numbers = [str(number.value) for number in signals]
    return [*_FRESH, sys.executable, "-c", _PLAY.format(what=what), str(cleaned), *numbers]


@contextmanager
def _playing(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The demo at work."""
    with subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, **options
    ) as process:
        try:
            assert process.stdout is not None
            assert "at work\n" == process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.fixture
def cleaned(tmp_path: Path) -> Path:
    """The file that the clean-up makes."""
    return tmp_path / "cleaned"


@pytest.mark.parametrize("number", _SIGNALS)
def test_a_signal_ends_it_and_it_cleans_up(cleaned: Path, number: signal.Signals) -> None:
    with _playing(_command(cleaned)) as demo:
        demo.send_signal(number)
        assert demo.stdout is not None
        told = demo.stdout.read()
        assert 130 == demo.wait(timeout=30)
    assert cleaned.exists()
    assert ["Interrupted.", "Cleaning up", "Everything is cleaned up"] == told.split("\n")[1::2]


def test_a_terminal_that_is_closed_ends_it_and_it_cleans_up(cleaned: Path) -> None:
    master, slave = os.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", *_command(cleaned)], cwd=_ROOT, stdin=slave, stdout=slave, stderr=slave
    ) as demo:
        os.close(slave)
        assert b"at work" in os.read(master, 100)
        os.close(master)  # from here on every line that it prints is an error, too
        demo.wait(timeout=30)
    assert cleaned.exists()


def test_a_further_signal_does_not_interrupt_the_clean_up(cleaned: Path) -> None:
    with _playing(_command(cleaned, _WORK, *_SIGNALS)) as demo:
        demo.send_signal(signal.SIGTERM)
        assert 130 == demo.wait(timeout=30)
    assert cleaned.exists()


def test_under_nohup_it_outlives_its_terminal(cleaned: Path) -> None:
    command = _command(cleaned)[len(_FRESH) :]
    with _playing([*_FRESH, "nohup", *command], stderr=subprocess.DEVNULL) as demo:
        demo.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            demo.wait(timeout=1)
        demo.send_signal(signal.SIGTERM)
        assert 130 == demo.wait(timeout=30)
    assert cleaned.exists()


def test_a_failure_is_told_before_the_clean_up(cleaned: Path) -> None:
    demo = subprocess.run(
        _command(cleaned, _FAIL),
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert 1 == demo.returncode
    assert cleaned.exists()
    assert [
        "The demo has failed. This does not hold",
        "Cleaning up",
        "Everything is cleaned up",
    ] == demo.stdout.split("\n")[2::2]
