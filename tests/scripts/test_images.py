"""Images are made on an Engine that may be somebody's: what was made is known, whatever happens."""

import re
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import docker
import pytest

from scripts import debian_base, images, progress
from scripts.private_engine import PrivateEngine
from tests.support import containers, worker

_TAG = "supervisor-test-made"
_DOCKERFILE = f"""\
FROM {worker.IMAGE}
ENTRYPOINT []
RUN ["/bin/busybox", "touch", "/one"]
RUN ["/bin/busybox", "touch", "/two"]
"""
_FAILING = f"""\
FROM {worker.IMAGE}
ENTRYPOINT []
RUN ["/bin/busybox", "sh", "-c", "echo it went wrong >&2; exit 3"]
"""

_SLOW = f"""\
FROM {worker.IMAGE}
ENTRYPOINT []
RUN ["/bin/busybox", "sleep", "60"]
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another folder to build from, and a base that takes no time."""
    (tmp_path / "Dockerfile").write_text(f"ARG BASE_IMAGE=no-such-image\n{_DOCKERFILE}")
    base = tmp_path / "base.tar"
    with tarfile.open(base, "w") as tar:
        tar.add(tmp_path / "Dockerfile", "Dockerfile")
    monkeypatch.setattr(images, "_ROOT", tmp_path)
    monkeypatch.setattr(images, "_pull", lambda *_: False)
    monkeypatch.setattr(debian_base, "tarball", lambda: base)
    for name in images._TRUST:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def everything(docker_client: docker.DockerClient) -> Iterator[set[str]]:
    """The images that are there before, as they should be afterwards."""
    before = _images(docker_client)
    yield before
    assert before == _images(docker_client)


@pytest.fixture
def no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads what is said goes away before it is done, as `head` does."""
    say = progress.say

    def say_or_break(text: str) -> None:
        if "done in" in text:
            raise BrokenPipeError
        say(text)

    monkeypatch.setattr(progress, "say", say_or_break)


def _images(client: docker.DockerClient) -> set[str]:
    return {str(image["Id"]) for image in client.api.images(all=True)}


@pytest.mark.usefixtures("checkout", "everything", "no_reader")
def test_an_imported_base_is_removed_also_where_its_reader_has_gone(
    docker_client: docker.DockerClient,
) -> None:
    made: list[str] = []
    with pytest.raises(BrokenPipeError):
        images.base_image(docker_client, _TAG, made)
    assert f"{_TAG}:latest" in made
    images.remove(docker_client, made)


@pytest.mark.usefixtures("checkout", "everything", "no_reader")
def test_a_built_image_is_removed_also_where_its_reader_has_gone(
    docker_client: docker.DockerClient,
) -> None:
    made: list[str] = []
    with pytest.raises(BrokenPipeError):
        images.build(docker_client, "Dockerfile", _TAG, {}, made)
    images.remove(docker_client, made)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
@pytest.mark.usefixtures("everything")
def test_a_build_that_is_left_at_any_step_leaves_nothing(
    docker_client: docker.DockerClient,
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    def say_or_break(text: str) -> None:
        if f"Step {step}/" in text:
            raise BrokenPipeError

    made: list[str] = []
    base = images.base_image(docker_client, f"{_TAG}-base", made)
    (checkout / "Dockerfile").write_text(f"FROM {base}\nENV A=1\nENV B=2\nENV C=3\n")
    monkeypatch.setattr(images, "say", say_or_break)
    with pytest.raises(BrokenPipeError):
        images.build(docker_client, "Dockerfile", _TAG, {}, made)
    images.remove(docker_client, made)


@pytest.mark.usefixtures("everything")
def test_a_build_that_is_left_ends_at_once(
    docker_client: docker.DockerClient, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say_or_break(text: str) -> None:
        if "Step 3/" in text:
            raise BrokenPipeError

    monkeypatch.setattr(images, "say", say_or_break)
    (checkout / "Dockerfile").write_text(_SLOW)
    made: list[str] = []
    try:
        images.build(docker_client, "Dockerfile", _TAG, {}, made)
    except BrokenPipeError:  # under way during the removal, as in the demo
        images.remove(docker_client, made)
    assert [] == containers.everything(docker_client)


@pytest.mark.usefixtures("everything")
def test_an_image_is_noted_before_it_is_there(
    docker_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A signal may come right after the Engine has made it.
    made: list[str] = []
    import_ = docker_client.api.import_image_from_data

    def interrupted(*arguments: Any, **options: Any) -> NoReturn:
        import_(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(docker_client.api, "import_image_from_data", interrupted)
    with pytest.raises(KeyboardInterrupt):
        images.import_busybox(docker_client, _TAG, made)
    images.remove(docker_client, made)


@pytest.mark.usefixtures("everything")
def test_an_image_that_appears_during_the_removal_is_removed_too(
    docker_client: docker.DockerClient, engine: PrivateEngine
) -> None:
    # The Engine finishes an import whose client has gone.
    def appear() -> None:
        with closing(docker.DockerClient(engine.host)) as another:
            images.import_busybox(another, _TAG)

    late = threading.Timer(0.5, appear)
    late.start()
    images.remove(docker_client, [_TAG])
    late.join()


@pytest.mark.usefixtures("everything")
def test_a_build_that_fails_is_told_in_plain_words(
    docker_client: docker.DockerClient, checkout: Path
) -> None:
    (checkout / "Dockerfile").write_text(_FAILING)
    made: list[str] = []
    with pytest.raises(images.BuildError, match="it went wrong") as caught:
        images.build(docker_client, "Dockerfile", _TAG, {}, made)
    images.remove(docker_client, made)
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", str(caught.value)), str(caught.value)
