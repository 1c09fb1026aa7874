"""The command as a process: pipes that close, Ctrl-C, terminals, silent supervisors."""

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service._generated.supervisor.v1 import observer_pb2 as api
from tests.support.fake_observer import Fake, a_job, serving
from tests.support.supervised import eventually

COMMAND = str(Path(sys.executable).with_name("area-supervisor"))
_SECONDS = 30
# What runs in the background of a shell may not be interrupted, and passes that on.
_INTERRUPTIBLE = ("env", "--default-signal=INT")


@pytest.fixture
def fake() -> Fake:
    return Fake(jobs=[a_job("a")])


@pytest.fixture
def server(fake: Fake) -> Iterator[str]:
    with serving(fake) as address:
        yield address


def environment(server: str, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"AREA_SUPERVISOR_SERVER": server, "XDG_CONFIG_HOME": "/nowhere"} | more


def begin(server: str, *arguments: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*_INTERRUPTIBLE, COMMAND, *arguments],
        env=environment(server, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def a_snapshot(*jobs: api.Job, token: str = "e.1") -> api.WatchJobsResponse:
    return api.WatchJobsResponse(kind="snapshot", jobs=jobs, complete=True, resume_token=token)


def close_its_output(process: subprocess.Popen[str]) -> None:
    """It ends then, and that is no error."""
    assert process.stdout is not None
    process.stdout.close()
    assert 0 == process.wait(_SECONDS)
    assert process.stderr is not None
    assert not process.stderr.read()


def lines_of(process: subprocess.Popen[str], number: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(number)]


@pytest.mark.parametrize("arguments", [["jobs", "-w"], ["logs", "-f", "a"]])
def test_a_pipe_that_closes_ends_what_waits_and_is_no_error(
    arguments: list[str], fake: Fake, server: str
) -> None:
    fake.watches.put([a_snapshot(a_job("a"))])
    fake.lines = [api.LogLine(text="one"), api.LogLine(text="two")]
    with begin(server, *arguments) as process:
        assert all(lines_of(process, 2))
        close_its_output(process)


def test_a_pipe_that_closes_in_the_middle_of_a_list_is_no_error(fake: Fake, server: str) -> None:
    fake.jobs[:] = [a_job("x" * 1000 + str(number)) for number in range(600)]
    with begin(server, "jobs", "-o", "json") as process:
        assert all(lines_of(process, 1))
        close_its_output(process)


@pytest.mark.parametrize("arguments", [["jobs", "-w"], ["logs", "-f", "a"]])
def test_ctrl_c_is_an_exit_130_without_a_word(
    arguments: list[str], fake: Fake, server: str
) -> None:
    fake.watches.put([a_snapshot(a_job("a"))])
    fake.lines = [api.LogLine(text="one"), api.LogLine(text="two")]
    with begin(server, *arguments) as process:
        assert all(lines_of(process, 2))
        process.send_signal(signal.SIGINT)
        assert ("", "") == process.communicate(timeout=_SECONDS)
        assert 130 == process.returncode


def test_ctrl_c_is_clean_from_the_first_moment_on() -> None:
    """While Python imports: in its own start, before any of our code, nobody can help."""
    code = "import service.cli.entry as entry, os, signal\n"
    code += "import importlib.abc, sys\n"
    code += "class Interrupts(importlib.abc.MetaPathFinder):\n"
    code += "  def find_spec(self, name, path, target=None):\n"
    code += "    if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
    code += "sys.meta_path.insert(0, Interrupts())\nentry.main()"
    ran = subprocess.run(
        [*_INTERRUPTIBLE, sys.executable, "-c", code],
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    assert (130, b"", b"") == (ran.returncode, ran.stdout, ran.stderr)


def test_a_watch_goes_on_where_it_was_and_says_so(fake: Fake, server: str) -> None:
    fake.watches.put([a_snapshot(a_job("a"), token="e.7")])
    changed = a_job("b", state="stopping")
    with begin(server, "jobs", "-w") as process:
        lines_of(process, 2)
        fake.watches.put(None)
        fake.watches.put([api.WatchJobsResponse(kind="changes", jobs=[changed], resume_token="8")])
        (line,) = lines_of(process, 1)
        assert ["b", "timer-seconds-interval", "stopping"] == line.split()[:3]
        fake.watches.put([api.WatchJobsResponse(kind="gap"), a_snapshot(a_job("c"))])
        assert "c" == lines_of(process, 1)[0].split()[0]
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=_SECONDS)
    assert ["", "e.7"] == [each.resume_token for each in fake.asked]
    assert [
        "area-supervisor: gone; trying again",
        "area-supervisor: connected again",
        "area-supervisor: changes are missing here; what runs now follows",
    ] == told.splitlines()


def test_a_watch_is_a_json_object_a_line(fake: Fake, server: str) -> None:
    fake.watches.put([a_snapshot(a_job("a"), a_job("b"))])
    with begin(server, "jobs", "-w", "-o", "json") as process:
        assert ['"a"', '"b"'] == [
            line.split('"identifier": ')[1].split(",")[0] for line in lines_of(process, 2)
        ]
        process.kill()


@pytest.mark.parametrize("command", [["jobs"], ["launch", "a", "b"]])
def test_a_port_that_accepts_and_never_answers_is_an_exit_5_within_five_seconds(
    command: list[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with begin(address, *command) as process:
            out, err = process.communicate(timeout=_SECONDS)
            assert (5, "") == (process.returncode, out)
    assert f"area-supervisor: {address}: cannot be reached: it does not answer" in err
    assert time.monotonic() - began < 15  # promised are five, on a machine that does nothing else


def test_a_name_that_nobody_knows_is_an_exit_5() -> None:
    with begin("nobody.invalid", "jobs") as process:
        _, err = process.communicate(timeout=_SECONDS)
    assert 5 == process.returncode
    assert 1 == len(err.splitlines())


def test_a_full_disk_is_one_line(server: str) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [COMMAND, "jobs"],
            env=environment(server),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    assert 1 == ran.returncode
    assert "area-supervisor: [Errno 28] No space left on device\n" == ran.stderr


# Terminals


def on_a_terminal(server: str, *arguments: str, **more: str) -> tuple[int, str]:
    """The exit code and what a terminal of 80 columns gets."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [COMMAND, *arguments],
        env=environment(server, TERM="xterm", COLUMNS="80", LINES="24") | more,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 65536):
                shown += part
        code = process.wait(_SECONDS)
    os.close(ours)
    return code, shown.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_and_lines_that_fit(fake: Fake, server: str) -> None:
    fake.jobs.append(a_job("x" * 200, state="gone", outcome="oom"))
    code, shown = on_a_terminal(server, "jobs")
    assert 0 == code
    assert "\x1b[32mrunning" in shown
    assert "\x1b[31moom" in shown
    plain = shown.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "")
    assert all(len(line) <= 80 for line in plain.splitlines())
    assert "x…" in plain
    assert plain == on_a_terminal(server, "jobs", NO_COLOR="1")[1]
    assert plain == on_a_terminal(server, "jobs", TERM="dumb")[1]


def test_logs_cannot_steer_a_terminal(fake: Fake, server: str) -> None:
    fake.lines = [api.LogLine(text="\x1b[31mred\x1b]0;title\x07\x1b[2J")]
    assert (0, "\x1b[31mred\\x1b]0;title\\x07\\x1b[2J\x1b[0m\n") == on_a_terminal(
        server, "logs", "a"
    )


def test_a_token_file_that_others_can_read_is_told_on_a_terminal_only(
    server: str, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    token.chmod(0o644)
    arguments = "jobs", "--token-file", str(token)
    _, shown = on_a_terminal(server, *arguments)
    assert f"{token}: others can read it; chmod 600 is better" in shown.replace("\n", "")
    with begin(server, *arguments) as process:
        assert not process.communicate(timeout=_SECONDS)[1]
    token.chmod(0o600)
    assert "chmod" not in on_a_terminal(server, *arguments)[1]


def test_top_that_is_terminated_gives_the_terminal_back(server: str) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "top"],
        env=environment(server, TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown, asked = b"", False
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 65536):
                shown += part
                if b"\x1b[?1049h" in shown and not asked:
                    asked = True
                    process.terminate()
        code = process.wait(_SECONDS)
    os.close(ours)
    assert 143 == code
    assert b"\x1b[?1049l" in shown


# Completion


def completed(server: str, *words: str, **more: str) -> list[str]:
    """What bash gets for the last of the words."""
    ran = subprocess.run(
        [COMMAND],
        env=environment(server, **more)
        | {
            "_AREA_SUPERVISOR_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(["area-supervisor", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert not ran.stderr
    return [line for line in ran.stdout.split("\n") if line]


def offered(server: str, *words: str) -> list[str]:
    """The same, where there is something: on a busy machine, half a second may be too short."""
    return eventually(lambda: completed(server, *words), within=30)


def test_a_shell_completes_identifiers_names_and_commands(fake: Fake, server: str) -> None:
    fake.jobs[:] = [a_job("timer-1"), a_job("timer-2"), a_job("x; reboot"), a_job("timer-$(x)")]
    assert ["timer-1", "timer-2"] == offered(server, "describe", "timer")
    assert "timer" == fake.asked[-1].identifier_prefix
    fake.names = ["timer-cron", "timer-x y"]
    assert ["timer-cron"] == offered(server, "launch", "timer")
    assert "timer" == fake.asked[-1].prefix
    assert ["describe"] == offered(server, "desc")
    assert ["timer-1", "timer-2"] == offered("localhost:1", "--server", server, "kill", "timer")


def test_completion_without_a_supervisor_is_silent_and_short() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        assert not completed(f"127.0.0.1:{silent.getsockname()[1]}", "kill", "x")
        assert time.monotonic() - began < 10  # half a second of it is the wait
    assert not completed("http://x", "kill", "x")
    assert not completed("localhost:1", "kill", "x", AREA_SUPERVISOR_TOKEN_FILE="/nowhere")
