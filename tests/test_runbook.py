"""The runbook's commands, run on real supervisors with real jobs after a night in which it crashed.

Once in a container, as compose has it, and twice as a process. What only a host with systemd, or
with a fault, could answer is read by bash alone.
"""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from scripts import engines
from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.support import catalog, containers, worker
from tests.support.on_call import InContainer, Shell
from tests.support.supervised import Supervised, eventually

RUNBOOK = (Path(__file__).parents[1] / "docs" / "runbook.md").read_text()
_SECTION = re.compile(r"^##+ (.*)$", re.MULTILINE)
_BLOCK = re.compile(r"^```sh\n(.*?)\n```", re.DOTALL | re.MULTILINE)
_IN_A_TABLE = re.compile(r"^\| [^|]+ \| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)
_NORMAL = re.compile(r"^\| ([^|]+) \| (\d+) \| (?:\d+ to )?(\d+) \| (\d+)", re.MULTILINE)
_ONLY_READ = ("journalctl -u docker", "systemctl status", "last reboot", "lsattr", "grep -l ID")

_42 = "timer-seconds-interval-42"  # as the runbook has it
_GONE = "timer-seconds-interval-4"  # which is a part of it
# What a client may send, and a terminal would obey.
_ODD = "odd\x1b]0;gone\x07\x1b[2J\nforged"
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|^forged", re.MULTILINE)
_SECTIONS = dict(zip(_SECTION.split(RUNBOOK)[1::2], _SECTION.split(RUNBOOK)[2::2], strict=True))
_FIRST = "Before the first: where its log is"
_WAYS = ("compose", "systemd", "file")
_PRELUDES = dict(zip(_WAYS, _BLOCK.findall(_SECTIONS[_FIRST]), strict=True))
_DIFFERENT = dict(
    zip(_WAYS, zip(*_IN_A_TABLE.findall(_SECTIONS[_FIRST]), strict=True), strict=True)
)


def _commands(heading: str) -> list[str]:
    text = _SECTIONS[heading]
    blocks = [] if heading == _FIRST else _BLOCK.findall(text)
    return [line for block in blocks for line in block.splitlines()]


HEADINGS = [heading for heading in _SECTIONS if _commands(heading)]


@dataclass(frozen=True)
class Morning:
    """A shell after a night, and where it finds the log."""

    way: str
    shell: Shell

    def answer_under(self, heading: str) -> str:
        """What all commands under a heading print, one after the other."""
        done = self.shell.run(_PRELUDES[self.way], "set -e", *_commands(heading))
        assert (0, "") == (done.returncode, done.stderr)
        return done.stdout


# Two supervisors for three ways: a process is systemd's where its log is asked for in that way.
each_way = pytest.mark.parametrize(
    ("night", "way"),
    [("container", "compose"), ("process", "systemd"), ("process", "file")],
    indirect=["night"],
    scope="module",  # or each test would have a night of its own
)


@pytest.fixture
def morning(night: Shell, way: str) -> Morning:
    return Morning(way, night)


@pytest.fixture(scope="module")
def night(
    request: pytest.FixtureRequest,
    engine: PrivateEngine,
    docker_client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shell]:
    """A shell beside a supervisor that has had a night."""
    if request.param == "container" and engines.chosen() == engines.SWARM:
        pytest.skip(
            "a supervisor in a container on a Swarm is a service: tests/swarm/test_stack.py"
        )
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "catalog.toml").write_text(catalog.TEXT)
    environment = {
        "DOCKER_HOST": engine.host,
        "JOB_CATALOG": str(directory / "catalog.toml"),
        "LOG_LEVEL": "info",
        "MAX_RUNNING_JOBS": "30",
    }
    supervised: Supervised
    if request.param == "container":
        adopting = environment | {"SUPERVISOR_ON_START": "adopt"}
        supervised = InContainer(directory, adopting, docker_client)
    else:
        supervised = Supervised(directory, environment)
    with supervised:
        _have_a_night(supervised, docker_client)
        pid = _pid(supervised)
        yield Shell(directory / "tools", supervised, engine.host, pid)
    containers.remove_everything(docker_client)


def _pid(supervised: Supervised) -> int:
    if isinstance(supervised, InContainer):
        return supervised.pid
    assert supervised.process is not None
    return supervised.process.pid


def _ended(supervised: Supervised) -> set[str]:
    return {event["identifier"] for event in supervised.events("job.exited")}


def _have_a_night(supervised: Supervised, client: docker.DockerClient) -> None:
    for identifier in (_GONE, "killed", _42):
        assert Response() == supervised.launch("timer", identifier)
    supervised.launch("timer", "crashed", {"say": "the token is refused", "exit": "3"})
    supervised.launch("timer", _ODD, {"say": _ODD, "exit": "3"})
    assert 422 == supervised.launch("missing", "refused").error.code
    assert Response() == supervised.kill("killed")
    eventually(lambda: {"crashed", _ODD} <= _ended(supervised))
    supervised.stop(signal.SIGKILL)
    containers.one(client, _GONE).kill()
    supervised.start()
    assert Response() == supervised.launch("timer", _42)


# ---------------------------------------------------------------- the questions


@each_way
@pytest.mark.parametrize("heading", HEADINGS)
def test_every_command_runs(morning: Morning, heading: str) -> None:
    lines = [line for line in _commands(heading) if not line.startswith(_ONLY_READ)]
    if morning.way != "compose":  # there is no such container
        lines = [line for line in lines if "area_supervisor " not in f"{line} "]
    done = morning.shell.run(_PRELUDES[morning.way], "set -e", *lines)
    assert (0, "") == (done.returncode, done.stderr)
    assert not _OBEYED.search(done.stdout)


@each_way
def test_what_differs_between_the_ways_runs(morning: Morning) -> None:
    lines = _DIFFERENT[morning.way]
    done = morning.shell.run(_PRELUDES[morning.way], "set -e", *lines)
    assert (2, 0, "") == (len(lines), done.returncode, done.stderr)


@each_way
def test_the_process_is_found(morning: Morning) -> None:
    done = morning.shell.run(_PRELUDES[morning.way], "set -e", 'echo "$(pid)"')
    assert f"{morning.shell.pid}\n" == done.stdout


def test_commands_for_a_host_with_systemd_or_a_fault_can_be_read(tmp_path: Path) -> None:
    lines = [line for each in HEADINGS for line in _commands(each) if line.startswith(_ONLY_READ)]
    assert 6 <= len(lines)
    (tmp_path / "lines").write_text("\n".join(lines))
    subprocess.run(["bash", "-n", tmp_path / "lines"], check=True)


@each_way
def test_it_is_said_whether_it_is_well(morning: Morning) -> None:
    said = morning.answer_under("Is it well?")
    assert said.startswith("ready\n")
    assert 2 == len(re.findall(" supervisor.started$", said, re.MULTILINE))
    assert f'"on_start":"{"adopt" if morning.way == "compose" else "remove"}"' in said
    assert '"event":"request.failed"' in said


@each_way
def test_what_runs_is_told_by_the_supervisor_and_by_the_engine(morning: Morning) -> None:
    listed, seen = morning.answer_under("What runs, and since when?").split("\n", 1)
    assert _42 in listed
    assert re.fullmatch(rf'\d{{4}}-\d\d-\d\d [^\t]+\tUp [^\t]+\t"{_42}"\nthey agree\n', seen)
    assert f'"{_GONE}"' not in listed


@each_way
def test_what_failed_is_told_with_its_last_words(morning: Morning) -> None:
    said = morning.answer_under("What failed lately, and what did it say last?")
    assert re.search(r" timer crashed: error 3 +the token is refused$", said, re.MULTILINE), said
    assert " missing refused: launch 422 " in said
    assert " killed: " not in said
    assert re.search(rf"^{_GONE} +timer +lost ", said, re.MULTILINE), said  # in the history


@each_way
def test_what_was_done_is_counted(morning: Morning) -> None:
    said = morning.answer_under("How much since the start?")
    launched = 0 if morning.way == "compose" else 1  # since the crash: _42 was adopted
    assert f"supervisor_launches_total {launched}\n" in said
    assert "supervisor_failures_total 0\n" in said
    assert re.search(r"^ +2 supervisor.started$", said, re.MULTILINE)


@each_way
def test_who_launched_and_who_killed_is_told(morning: Morning) -> None:
    said = morning.answer_under("Who launched it, who killed it?")
    for done in ("job.launched timer killed", "job.killed timer killed", "request.failed missing"):
        assert re.search(rf" {re.escape(done)}.*: 127\.0\.0\.1:\d+ grpc-python/", said), said
    assert " job.exited " not in said  # one line for a kill
    assert re.search(rf"T[0-9:]+Z kill {_GONE} signal=9 exit=-$", said, re.MULTILINE)
    assert re.search(rf"T[0-9:]+Z die {_GONE} signal=- exit=137$", said, re.MULTILINE)


@each_way
def test_a_paused_job_is_told_and_runs_again(
    morning: Morning, docker_client: docker.DockerClient
) -> None:
    container = containers.one(docker_client, _42)
    container.pause()
    log = f"{_PRELUDES[morning.way]}\nlog"
    eventually(lambda: '"event":"job.paused"' in morning.shell.run(log).stdout)
    noted = int(time.time())
    eventually(lambda: int(time.time()) > noted)  # `--until 0s` leaves out the current second
    said = morning.answer_under("Is a job paused, or was it restarted by hand?")
    assert re.search(rf"Z job\.paused timer {_42}$", said, re.MULTILINE), said
    assert f'{container.name}\t"{_42}"\n' in said
    assert re.search(rf"T[0-9:]+Z pause {_42}$", said, re.MULTILINE), said
    container.reload()
    assert "running" == container.status


@each_way
def test_the_image_of_a_running_job_is_told(
    morning: Morning, docker_client: docker.DockerClient
) -> None:
    said = morning.answer_under("Which image does a running job have?")
    image = docker_client.images.get(worker.IMAGE).id
    assert f'"{_42}" {worker.IMAGE} {image} ' in said
    assert f"\n{image} {worker.IMAGE}:latest " in said


@each_way
def test_the_limit_of_jobs_and_their_number_are_told(morning: Morning) -> None:
    assert '{"max_running_jobs":30}\njobs 1\n' == morning.answer_under("How full is it?")


@each_way
def test_the_settings_of_the_process_are_told(morning: Morning) -> None:
    said = morning.answer_under("A setting has no effect")
    assert re.search(r" MAX_RUNNING_JOBS +│ 30 +│ environment ", said), said
    assert re.search(r" MAX_PULLS +│ 2 +│ default ", said)


@each_way
def test_what_is_gone_after_a_restart_is_told(morning: Morning) -> None:
    said = morning.answer_under("What is gone after a restart?")
    told = "job.exited lost" if morning.way == "compose" else "janitor.removed exited"
    _, _, since = said.rpartition(" supervisor.started ")
    assert f" {told} timer {_GONE}\n" in since, said
    assert (f" janitor.removed live timer {_42}\n" in since) == (morning.way != "compose")
    assert not re.search(r"(lost|exited) timer crashed$", since, re.MULTILINE)  # it had before
    crashed, odd, gone = sorted(said.splitlines()[-3:], key=lambda line: line.split()[2])
    assert crashed.endswith(" timer crashed: job.exited error")
    assert odd.endswith("forged: job.exited error")
    assert gone.endswith(f" timer {_GONE}: {told}")


@each_way
def test_numbers_that_may_leak_are_told(morning: Morning) -> None:
    said = morning.answer_under("Is anything leaking?")
    assert "process_resident_memory_bytes " in said
    assert "\njobs 1\n" in said
    assert re.search(r"^Threads:\s+\d+$", said, re.MULTILINE)
    assert said.endswith("\n1\n")


# ---------------------------------------------------------------- the normal numbers


def test_the_numbers_of_a_supervisor_are_normal(engine: PrivateEngine, tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text(catalog.TEXT)
    environment = {
        "DOCKER_HOST": engine.host,
        "JOB_CATALOG": str(tmp_path / "catalog.toml"),
        "SUPERVISOR_INSTANCE": "another-night",
    }
    with Supervised(tmp_path, environment) as supervised:
        _are_normal(supervised)
        for number in range(30):
            assert Response() == supervised.launch("timer", f"job-{number}")
        assert 30 == supervised.metric("supervisor_jobs_running")
        _are_normal(supervised)
        assert Response() == supervised.kill_all()


def _are_normal(supervised: Supervised) -> None:
    table = {
        name.split(",")[0].strip("`"): int(most) for name, _, _, most in _NORMAL.findall(RUNBOOK)
    }
    status = Path(f"/proc/{_pid(supervised)}/status").read_text()
    (threads,) = re.findall(r"^Threads:\s+(\d+)$", status, re.MULTILINE)
    assert int(threads) <= table["threads"]
    memory = supervised.metric("process_resident_memory_bytes") / 1e6
    assert memory <= table["process_resident_memory_bytes"]
    assert supervised.metric("process_open_fds") <= table["process_open_fds"]
    assert 0 == supervised.metric("supervisor_orphans")
