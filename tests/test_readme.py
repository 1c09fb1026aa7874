"""What the README and the documents show is run and compared: a reader copies it."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from service.errors import REASONS
from service.jobs.catalog_file import load_catalog
from tests.conftest import Start
from tests.support import catalog, containers, grpcurl, node, tutorial
from tests.support.backend import a_backend
from tests.support.reflection import ReflectingClient
from tests.support.supervised import Supervised, eventually, free_port

# The first test waits for the image: a base from Debian's packages, and an installation.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
PAGE = (ROOT / "examples" / "worker" / "README.md").read_text()
CATALOG = ROOT / "examples" / "catalog.toml"
_BUILD = re.compile(r"^(make worker) ", re.MULTILINE)
_EXAMPLE = re.compile(r"```sh\n(grpcurl [^\n]*)\n```\n```(\w*)\n(.*?)```", re.DOTALL)
_OBSERVER = re.compile(r"^(grpcurl .* supervisor\.v1\.JobObserver/\w+)$", re.MULTILINE)
_SHELL = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_ARGUMENTS = re.compile(r"^`(seconds-interval --target [^`]*)`", re.MULTILINE)
_CLIENT = re.compile(r"^(node|\.venv/bin/python) (.*) localhost:50051$", re.MULTILINE)
_CODE = re.compile(r"^\| (\d{3}) \| [^|]+ \| [^|]+ \|$", re.MULTILINE)


def _shown(words: str) -> list[str]:
    """The commands of the page about workers that begin so, or run this module."""
    lines = (line for block in _SHELL.findall(PAGE) for line in block.splitlines())
    return [line for line in lines if line.startswith((words, f".venv/bin/python -m {words}"))]


@pytest.fixture(scope="module")
def image(engine: PrivateEngine) -> str:
    """The image of the example workers, made as the README says."""
    (tag,) = load_catalog(CATALOG).images
    (command,) = _BUILD.findall(README)
    environment = os.environ | {"DOCKER_HOST": engine.host}
    subprocess.run(shlex.split(command), cwd=ROOT, env=environment, check=True)
    return tag


@pytest.fixture
def supervisor(image: str, start: Start) -> Supervised:
    """A supervisor with the catalogue of the examples, as the README starts it."""
    assert f" image {image}," in README
    assert f"JOB_CATALOG={CATALOG.relative_to(ROOT)} .venv/bin/area-supervisor serve\n" in README
    return start(JOB_CATALOG=str(CATALOG))


@pytest.mark.parametrize(("page", "count"), [(README, 3), (API, 6)], ids=["README", "api"])
def test_the_examples_answer_what_the_page_says(
    supervisor: Supervised, page: str, count: int
) -> None:
    examples = _EXAMPLE.findall(page)
    assert count == len(examples)
    client = ReflectingClient(supervisor.channel)
    for command, language, expected in examples:
        wanted = json.loads(expected) if language == "json" else expected.split()
        assert wanted == _answer(client, command), command


def test_the_examples_of_the_page_about_jobs_are_answered(supervisor: Supervised) -> None:
    page = (ROOT / "docs" / "observer.md").read_text()
    client = ReflectingClient(supervisor.channel)
    (launch, *_) = [command for command, _, _ in _EXAMPLE.findall(API) if "params" in command]
    assert {} == _answer(client, launch)
    answered = {
        command.rpartition("/")[2]: _answer(client, command)
        for command in _OBSERVER.findall(page)
        if not command.endswith(("/WatchJobs", "/StreamLogs"))  # streams
    }
    assert {"GetJob", "ListJobs", "Stats", "Cordon", "Uncordon"} <= set(answered)
    assert "running" == answered["GetJob"]["state"]


def test_the_worker_gets_the_arguments_that_the_page_says(
    supervisor: Supervised, docker_client: docker.DockerClient
) -> None:
    (launch, *_) = [command for command, _, _ in _EXAMPLE.findall(API) if "params" in command]
    _answer(ReflectingClient(supervisor.channel), launch)
    (container,) = containers.of_ours(docker_client)
    container.reload()
    assert [" ".join(containers.arguments(container))] == _ARGUMENTS.findall(API)


@pytest.mark.parametrize("program", ["node", ".venv/bin/python"])
def test_the_clients_of_the_page_for_backends_do_what_it_says(
    supervisor: Supervised, program: str
) -> None:
    page = (ROOT / "docs" / "backends.md").read_text()
    (told,) = re.findall(r"^```\n(health: .*?)```", page, re.DOTALL | re.MULTILINE)
    ended = subprocess.run(
        [
            sys.executable if "python" in program else program,
            *shlex.split(dict(_CLIENT.findall(page))[program]),
            f"localhost:{supervisor.port}",
        ],
        cwd=ROOT,
        env=node.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, told) == (ended.returncode, ended.stdout)
    # The reaction was asked for twice with one key.
    assert 2 == supervisor.metric("supervisor_launches_total")
    assert 1 == supervisor.metric("supervisor_dedups_total", job_name="console-send-message")


def test_a_catalogue_is_read_again_and_a_restart_ends_the_jobs_by_default_as_the_readme_says(
    start: Start, tmp_path: Path
) -> None:
    words = " ".join(README.split())
    assert "A changed [catalogue](docs/catalogue.md#changes) is used without a restart." in words
    assert "(`SUPERVISOR_ON_START=remove`), a restart ends every running job;" in words
    path = tmp_path / "changing.toml"
    path.write_text(catalog.TEXT)
    supervised = start(JOB_CATALOG=str(path))
    assert Response() == supervised.launch("timer", "t-1")
    path.write_text(catalog.TEXT.replace("timer = ", "new = "))
    eventually(lambda: Response() == supervised.launch("new", "n-1"))
    assert ["n-1", "t-1"] == supervised.running()
    assert 0 == supervised.stop()
    supervised.start()
    assert [] == supervised.running()


@pytest.mark.usefixtures("image")
def test_the_worker_that_the_readme_builds_calls_the_backend(start: Start) -> None:
    with a_backend() as backend:
        supervised = start(JOB_CATALOG=str(CATALOG), GRPC_CALLBACK_PORT=str(backend.port))
        assert Response() == supervised.launch("timer-seconds-interval", "t-1", {"seconds": 0.2})
        call = backend.next_call()
    assert ("OnAction", "t-1") == (call.method, call.identifier)


@pytest.mark.parametrize("worker", _shown("examples.worker "))
def test_the_workers_of_their_page_run_without_a_supervisor(worker: str) -> None:
    port = free_port()
    (backend,) = _shown("examples.backend ")
    with _running(backend.replace("50050", str(port))) as listening:
        assert f":{port}." in _line_of(listening)
        with _running(worker.replace("50050", str(port))) as process:
            assert "  try  " in _line_of(listening)
            if "send-message" not in worker:  # which ends by itself
                process.send_signal(signal.SIGINT)
            assert 0 == process.wait(30)
        listening.terminate()


@pytest.mark.usefixtures("image")
def test_a_container_of_their_page_ends_as_it_says(engine: PrivateEngine) -> None:
    run, *rest = (line for line in _shown("docker ") if "build" not in line)
    environment = os.environ | {"DOCKER_HOST": engine.host}
    with a_backend() as backend:
        subprocess.run(
            shlex.split(run.replace("localhost:50050", backend.address)),
            env=environment,
            check=True,
            timeout=60,
        )
        backend.next_call()
        said = subprocess.check_output(["sh", "-ec", "\n".join(rest)], env=environment, text=True)
    assert ["try", "0 false", "every 2 s for try", "try"] == said.splitlines()


def test_the_page_of_requests_lists_every_code() -> None:
    assert sorted(REASONS) == [int(code) for code in _CODE.findall(API)]


@pytest.mark.usefixtures("image")
def test_the_tutorial_leads_to_a_worker_of_ones_own(
    engine: PrivateEngine, start: Start, tmp_path: Path
) -> None:
    served: list[Supervised] = []

    def serve(catalog: str, backend_port: str) -> Supervised:
        served.append(start(JOB_CATALOG=catalog, GRPC_CALLBACK_PORT=backend_port))
        return served[-1]

    with tutorial.Reader(tmp_path, engine.host, serve) as reader:
        for block in tutorial.blocks():
            reader.follow(block)
    (supervisor,) = served
    exits = {str(event["identifier"]): event for event in supervisor.events("job.exited")}
    failed = exits["weather-temperature-Atlantis"]
    assert ("error", 1) == (failed["outcome"], failed["exit_code"])
    assert ["error: there is no city Atlantis"] == failed["output"]
    others = ("weather-temperature-Paris", "weather-temperature-Lyon")
    assert ["killed", "killed"] == [exits[identifier]["outcome"] for identifier in others]
    assert 3 == supervisor.metric("supervisor_launches_total")


@contextmanager
def _running(command: str) -> Iterator[subprocess.Popen[str]]:
    """A process, in the folder of the checkout, until the end of the block."""
    process = subprocess.Popen(shlex.split(command), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def _line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _answer(client: ReflectingClient, command: str) -> Any:
    """What grpcurl would print, read."""
    asked = grpcurl.parsed(shlex.split(command)[1:])
    assert "localhost:50051" == asked.address
    return grpcurl.answer(client, asked)
