"""What the README shows is run and compared: a reader copies it."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from service.config import Settings
from tests.conftest import Start
from tests.support import worker

README = Path(__file__).parents[1] / "README.md"
_EXAMPLE = re.compile(r"```sh\n(grpcurl [^\n]*)\n```\n```(\w*)\n(.*?)```", re.DOTALL)
_SETTING = re.compile(r"^\| `([A-Z_]+)` \| ([^|]*) \|", re.MULTILINE)
_IMAGE = "supervisor-seconds-interval"


@pytest.fixture
def image(docker_client: docker.DockerClient) -> Iterator[None]:
    """The worker's image, under the name that Area's catalogue has for the example's job."""
    docker_client.images.get(worker.IMAGE).tag(_IMAGE)
    yield
    docker_client.images.remove(_IMAGE)


@pytest.mark.usefixtures("image")
def test_the_grpcurl_examples_answer_what_the_readme_says(start: Start) -> None:
    examples = _EXAMPLE.findall(README.read_text())
    supervisor = start(JOB_CATALOG="")

    assert 6 == len(examples)
    for command, language, expected in examples:
        answer = _grpcurl(command.replace("localhost:50051", f"127.0.0.1:{supervisor.port}"))
        if language == "json":
            assert json.loads(expected) == json.loads(answer), command
        else:
            assert expected.split() == answer.split(), command


def test_the_readme_lists_every_setting_with_its_default() -> None:
    listed = {name: default.strip() for name, default in _SETTING.findall(README.read_text())}
    for name, field in Settings.model_fields.items():
        default = listed[name.upper()]
        if field.default is not None:
            assert f"`{field.default}`".lower() == default.lower(), name


def _grpcurl(command: str) -> str:
    program = Path(sys.executable).with_name("grpcurl")
    arguments = shlex.split(command)[1:]
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    return done.stdout
