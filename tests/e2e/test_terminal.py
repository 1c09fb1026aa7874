"""The command line as a person has it, in a terminal.

`make screens` keeps what this person sees in docs/command-line.md.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from scripts import apt
from scripts.private_engine import PrivateEngine
from tests.support import worker
from tests.support.supervised import Supervised, eventually
from tests.support.terminal import Terminal, a_terminal

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
_KEEP = bool(os.environ.get("KEEP_SCREENS"))
# The page shows jobs of an Engine alone.
_OF_A_SWARM = "NODE"
_CATALOG = f"""
[jobs.weather-fetch-weather]
kind = "action"
image = "{worker.IMAGE}"
memory = "64m"
[jobs.timer-seconds-interval]
kind = "action"
image = "{worker.IMAGE}"
[jobs.gmail-send-email]
kind = "reaction"
image = "{worker.IMAGE}"
"""
_LAUNCHES = (
    ("weather-fetch-weather", "weather-fetch-weather-Paris", {"say": "18 degrees in Paris"}),
    ("timer-seconds-interval", "timer-seconds-interval-42", {"seconds": 5}),
    ("gmail-send-email", "gmail-send-email-7", {"say": "the mailbox is full", "exit": 3}),
)

_SECONDS_TO_FIND_OUT = 10
_OF_CHILDREN = re.compile(r"^0m([\d.]+)s 0m([\d.]+)s$\Z", re.MULTILINE)


@pytest.fixture(scope="module")
def long_running(
    engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supervised]:
    """A supervisor with a few jobs of Area, of which one has failed."""
    folder = tmp_path_factory.mktemp("supervisor")
    (folder / "catalog.toml").write_text(_CATALOG)
    settings = {"DOCKER_HOST": engine.host, "JOB_CATALOG": str(folder / "catalog.toml")}
    settings["JOB_STOP_GRACE_SECONDS"] = "1"
    with Supervised(folder, settings) as supervised:
        for name, identifier, params in _LAUNCHES:
            assert not supervised.launch(name, identifier, params).HasField("error")
        eventually(lambda: 2 == len(supervised.jobs()))
        yield supervised
        supervised.kill_all()


@pytest.fixture(scope="module")
def terminal(
    long_running: Supervised, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    server = {"AREA_SUPERVISOR_SERVER": f"localhost:{long_running.port}"}
    with a_terminal(tmp_path_factory.mktemp("terminal"), server) as one:
        yield one


def keep(command: str, screen: str) -> None:
    """Compare with the page what stays the same, which is the titles; `make screens` writes it."""
    begin = f"```console\n$ {command}\n"
    page = PAGE.read_text()
    assert begin in page, f"{PAGE.name} has no screen of {command}"
    before, _, rest = page.partition(begin)
    kept, end, after = rest.partition("\n```\n")
    if _KEEP:
        PAGE.write_text(f"{before}{begin}{screen}{end}{after}")
        return
    assert _titles(kept) == _titles(screen), "make screens"


def _titles(screen: str) -> list[str]:
    """The titles of columns; or of rows, which end in a colon."""
    columns = next((line for line in screen.splitlines() if line.isupper()), "")
    found = columns.split() or re.findall(r"^[A-Z][\w ]*:", screen, re.MULTILINE)
    return [each for each in found if each != _OF_A_SWARM]


def test_a_person_sees_what_runs(terminal: Terminal) -> None:
    screen = terminal.run("area-supervisor jobs")
    rows = [line.split()[:3] for line in screen.splitlines()]
    assert ["weather-fetch-weather-Paris", "weather-fetch-weather", "running"] in rows
    keep("area-supervisor jobs", screen)


def test_a_person_sees_what_has_failed_and_why(terminal: Terminal) -> None:
    history = terminal.run("area-supervisor history")
    assert "error (3)" in history
    assert "the mailbox is full" in history
    keep("area-supervisor history", history)
    command = "area-supervisor describe gmail-send-email-7"
    screen = terminal.run(command)
    assert "State:        error (3)" in screen
    assert "  the mailbox is full" in screen
    keep(command, screen)


def test_what_runs_and_what_has_failed_and_why_takes_a_person_seconds(terminal: Terminal) -> None:
    commands = ["jobs", "history", "describe gmail-send-email-7"]
    each = "; ".join(f"area-supervisor {command}" for command in commands)
    screen = terminal.run(f"bash -c '{each}; times'")
    assert "the mailbox is full" in screen
    took = _OF_CHILDREN.search(screen)  # of the processor: a busy machine is no fault of theirs
    assert took
    assert sum(map(float, took.groups())) < _SECONDS_TO_FIND_OUT


def test_tab_completes_commands_jobs_and_identifiers(terminal: Terminal) -> None:
    completes(terminal, "area-supervisor hist", "area-supervisor history")
    completes_what_the_supervisor_knows(terminal)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_tab_does_so_in_other_shells_from_the_first_time_on(
    long_running: Supervised, shell: str, tmp_path: Path
) -> None:
    apt.ensure(shell, shell)
    server = {"AREA_SUPERVISOR_SERVER": f"localhost:{long_running.port}"}
    with a_terminal(tmp_path, server, shell=shell) as one:
        completes_what_the_supervisor_knows(one)


def completes_what_the_supervisor_knows(terminal: Terminal) -> None:
    launch, describe = "area-supervisor launch tim", "area-supervisor describe weath"
    completes(terminal, launch, "area-supervisor launch timer-seconds-interval")
    completes(terminal, describe, "area-supervisor describe weather-fetch-weather-Paris")


def completes(terminal: Terminal, typed: str, completed: str) -> None:
    """See what a Tab makes of a line, or the next: the supervisor has half a second to answer."""
    terminal.clear()
    terminal.type(typed)

    def has_completed() -> bool:
        terminal.press("Tab")
        with suppress(AssertionError):
            return bool(terminal.shows(completed, within=5))
        return False

    eventually(has_completed, within=25)
    terminal.press("C-u")


def test_a_screen_that_follows_ends_with_ctrl_c(terminal: Terminal) -> None:
    terminal.clear()
    terminal.enter("area-supervisor logs -f weather-fetch-weather-Paris")
    terminal.shows("18 degrees in Paris")
    terminal.press("C-c")
    assert "130" == terminal.run("echo $?")


def test_top_shows_what_jobs_use_until_ctrl_c(terminal: Terminal) -> None:
    terminal.clear()
    terminal.enter("area-supervisor top")
    screen = terminal.shows("weather-fetch-weather-Paris")
    assert "64.0 MiB" in screen
    keep("area-supervisor top", screen)
    terminal.press("C-c")
    terminal.shows("$ area-supervisor top")  # what was there before is there again
    assert "130" == terminal.run("echo $?")


def test_a_watch_shows_each_change(terminal: Terminal, long_running: Supervised) -> None:
    terminal.clear()
    terminal.enter("area-supervisor jobs -w")
    terminal.shows("timer-seconds-interval-42")
    params = {"after": 1, "exit": 0}
    long_running.launch("gmail-send-email", "gmail-send-email-8", params)
    screen = terminal.shows("success")
    keep("area-supervisor jobs -w", screen.removeprefix("$ area-supervisor jobs -w\n"))
    terminal.press("C-c")


def test_kill_all_asks_a_person(terminal: Terminal) -> None:
    terminal.clear()
    terminal.enter("area-supervisor kill-all")
    terminal.shows("Kill all 2 jobs of localhost:")
    terminal.press("Enter")
    terminal.shows("nothing was killed")
    assert "1" == terminal.run("echo $?")
