"""What the README shows is run and compared: a reader copies it."""

import json
import re
import shlex
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from service.catalog import load_catalog
from service.config import Settings
from service.errors import REASONS
from tests.conftest import Start
from tests.support import containers, node, worker
from tests.support.reflection import ReflectingClient
from tests.support.supervised import Supervised

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CATALOG = ROOT / "examples" / "catalog.toml"
_EXAMPLE = re.compile(r"```sh\n(grpcurl [^\n]*)\n```\n```(\w*)\n(.*?)```", re.DOTALL)
_BUILD = re.compile(r"^docker build -f examples/worker/Dockerfile -t (\S+) \.$", re.MULTILINE)
_ARGUMENTS = re.compile(r"^`(seconds-interval --target [^`]*)`", re.MULTILINE)
_SETTING = re.compile(r"^\| `([A-Z_]+)` \| ([^|]*) \| ([^|]*) \|", re.MULTILINE)
_CLIENT = re.compile(r"^(node|\.venv/bin/python) (.*) localhost:50051$", re.MULTILINE)
_CODE = re.compile(r"^\| (\d{3}) \| [^|]+ \| [^|]+ \|$", re.MULTILINE)


@pytest.fixture
def supervisor(start: Start, docker_client: docker.DockerClient) -> Iterator[Supervised]:
    """A supervisor with the catalogue of the examples, on an Engine that has the image."""
    (image,) = _BUILD.findall(README)
    assert {image} == load_catalog(CATALOG).images
    assert f"JOB_CATALOG={CATALOG.relative_to(ROOT)} .venv/bin/area-supervisor serve\n" in README
    docker_client.images.get(worker.IMAGE).tag(image)
    yield start(JOB_CATALOG=str(CATALOG))
    containers.remove_everything(docker_client)
    docker_client.images.remove(image)


def test_the_examples_answer_what_the_readme_says(supervisor: Supervised) -> None:
    examples = _EXAMPLE.findall(README)
    assert 6 == len(examples)
    client = ReflectingClient(supervisor.channel)
    for command, language, expected in examples:
        wanted = json.loads(expected) if language == "json" else expected.split()
        assert wanted == _answer(client, command), command


def test_the_worker_gets_the_arguments_that_the_readme_says(
    supervisor: Supervised, docker_client: docker.DockerClient
) -> None:
    (launch, *_) = [command for command, _, _ in _EXAMPLE.findall(README) if "params" in command]
    _answer(ReflectingClient(supervisor.channel), launch)
    (container,) = containers.of_ours(docker_client)
    container.reload()
    assert [" ".join(containers.arguments(container))] == _ARGUMENTS.findall(README)


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


def test_the_readme_lists_every_setting_with_its_default_and_what_is_allowed() -> None:
    listed = {name: (default, allowed) for name, default, allowed in _SETTING.findall(README)}
    for name, field in Settings.model_fields.items():
        default, allowed = listed[name.upper()]
        assert isinstance(field.json_schema_extra, dict)
        assert field.json_schema_extra["allowed"] == allowed.replace("`", "")
        if field.default is not None:
            assert f"`{str(field.default).lower()}`" == default, name


def test_the_readme_lists_every_code() -> None:
    assert sorted(REASONS) == [int(code) for code in _CODE.findall(README)]


def _answer(client: ReflectingClient, command: str) -> object:
    """What grpcurl would print, read."""
    options = ArgumentParser(exit_on_error=False)
    options.add_argument("-plaintext", action="store_true", required=True)
    options.add_argument("-d", default="{}")
    options.add_argument("address", choices=["localhost:50051"])
    options.add_argument("what")
    given = options.parse_args(shlex.split(command)[1:])
    return client.services() if given.what == "list" else client.call(given.what, given.d)
