"""Few threads and few open files: told as what they are, waited for, and never the end."""

import os
import resource
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support.pids import Group, a_group_of
from tests.support.supervised import COMMAND, Supervised, after, eventually, refusal

_JOBS = [f"job-{number}" for number in range(30)]


@pytest.fixture
def group() -> Iterator[Group]:
    with a_group_of(32) as made:
        yield made


@pytest.fixture
def start(group: Group, start: Start) -> Start:
    """The group has to be empty before it goes, so it comes first."""
    assert group
    return start


def launch_all(supervised: Supervised) -> list[Response]:
    with ThreadPoolExecutor(len(_JOBS)) as pool:
        return list(pool.map(lambda each: supervised.launch("timer", each), _JOBS))


def health_inside(group: Group, supervised: Supervised) -> int:
    """What a container's health check says, which counts as well."""
    return subprocess.run(
        after(group.join, COMMAND, "health"),
        env={
            "PATH": os.environ["PATH"],
            "GRPC_SERVER_PORT": str(supervised.port),
            "BIND_ADDRESS": "127.0.0.1",
        },
        timeout=60,
        check=False,
    ).returncode


@contextmanager
def ended(supervised: Supervised) -> Iterator[None]:
    """Stop it before its control group goes."""
    try:
        yield
    finally:
        supervised.__exit__(None, None, None)


def test_32_threads_are_enough_for_everything(group: Group, start: Start) -> None:
    tracing = "http://127.0.0.1:1"
    supervised = start(popen={"first": group.join}, OTEL_EXPORTER_OTLP_ENDPOINT=tracing)
    with ended(supervised):
        assert [Response()] * len(_JOBS) == launch_all(supervised)
        assert [Response()] * len(_JOBS) == launch_all(supervised)
        with ThreadPoolExecutor(16) as pool:
            pages = list(pool.map(lambda _: supervised.http("/metrics")[0], range(64)))
        assert {200} == set(pages)
        assert sorted(_JOBS) == supervised.running()
        assert 0 == health_inside(group, supervised)
        assert Response() == supervised.kill_all()
        assert [] == supervised.jobs()
        assert 0 == supervised.stop()


def test_threads_that_run_out_are_waited_for(group: Group, start: Start) -> None:
    supervised = start(popen={"first": group.join})
    with ended(supervised):
        assert Response() == supervised.launch("timer", "first")
        group.limit(1)  # none may come
        assert [Response()] * len(_JOBS) == launch_all(supervised)
        assert Response() == supervised.kill_all()
        assert supervised.is_ready()
        assert 200 == supervised.http("/metrics")[0]
        assert 0 == supervised.stop()


def test_a_start_with_too_few_threads_says_so(group: Group, start: Start) -> None:
    group.limit(10)
    line = refusal(start(ready=False, popen={"first": group.join}))
    assert line.startswith("area-supervisor: this process may start no more threads; ")
    assert "pids_limit" in line


def files(soft: int, hard: int) -> str:
    return f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))"


def test_the_soft_limit_on_files_is_raised_to_the_hard_one(start: Start) -> None:
    supervised = start(popen={"first": files(128, 4096)})
    (started,) = supervised.events("supervisor.started")
    assert 4096 == started["open_files"]
    assert supervised.process
    limits = Path(f"/proc/{supervised.process.pid}/limits").read_text().splitlines()
    assert ["4096", "4096"] == next(line for line in limits if "open files" in line).split()[3:5]


def test_128_files_are_enough(start: Start) -> None:
    supervised = start(popen={"first": files(128, 128)})
    assert [Response()] * len(_JOBS) == launch_all(supervised)
    assert Response() == supervised.kill_all()
    assert 0 == supervised.stop()


def test_a_stop_without_files_is_a_stop(start: Start) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "first")
    assert supervised.process
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(supervised.process.pid, resource.RLIMIT_NOFILE, (1, hard))  # none may come
    assert 0 == supervised.stop()
    assert "Traceback" not in supervised.log()


def cpu_seconds(supervised: Supervised) -> float:
    assert supervised.process
    fields = Path(f"/proc/{supervised.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(supervised: Supervised) -> int:
    assert supervised.process
    return len(list(Path(f"/proc/{supervised.process.pid}/fd").iterdir()))


def test_files_that_run_out_are_told_and_there_again_it_goes_on(start: Start) -> None:
    supervised = start(popen={"first": files(64, 64)})
    assert Response() == supervised.launch("timer", "first")
    with ExitStack() as crowd:
        for _ in range(80):
            address = ("127.0.0.1", supervised.port)
            crowd.enter_context(closing(socket.create_connection(address)))
        eventually(lambda: open_files(supervised) >= 63)
        answers = launch_all(supervised)
        before = cpu_seconds(supervised)
        assert "SERVING" == supervised.health("liveness")
        told = {answer.error.message for answer in answers if answer.HasField("error")}
        assert all("may open no more files (64 are allowed)" in one for one in told), told
        assert {0, 503} >= {answer.error.code for answer in answers}
        assert cpu_seconds(supervised) - before < 2.0  # nothing spins
    eventually(supervised.is_ready, within=30)
    assert [Response()] * len(_JOBS) == launch_all(supervised)
    assert Response() == supervised.kill_all()
    assert 0 == supervised.stop()
