"""Images are made on an Engine that may be somebody's: what was made is known, whatever happens."""

import re
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import docker
import pytest

from examples import images
from examples.images import busybox, debian_base
from scripts import apt, progress
from scripts.private_engine import PrivateEngine
from tests.support import containers

_TAG = "supervisor-test-made"
_BASE = "supervisor-test-made-base"
_STEPS = ("ENV A=1", "COPY Dockerfile /copied", "ENV B=2")
_SLOW = 'RUN ["/bin/busybox", "sleep", "60"]'
_FAILING = 'RUN ["/bin/busybox", "sh", "-c", "echo it went wrong >&2; exit 3"]'

Build = Callable[..., None]


@pytest.fixture
def made(docker_client: docker.DockerClient) -> Iterator[list[str]]:
    """What was made; once it is removed, the images are those that were there before."""
    before = _images(docker_client)
    names: list[str] = []
    yield names
    assert before == _images(docker_client)
    assert [] == containers.everything(docker_client)


@pytest.fixture(autouse=True)
def _a_base_that_takes_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tarball = tmp_path / "base.tar"
    with tarfile.open(tarball, "w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
    (tmp_path / "Dockerfile").write_text("ARG BASE_IMAGE=no-such-image\n")
    monkeypatch.setattr(images, "_ROOT", tmp_path)
    monkeypatch.setattr(images, "_pull", lambda *_: False)
    monkeypatch.setattr(images, "_QUIET_SECONDS", 2.0)  # what is made here is small
    monkeypatch.setattr(debian_base, "tarball", lambda: tarball)


@pytest.fixture
def build(docker_client: docker.DockerClient, made: list[str], tmp_path: Path) -> Build:
    """Builds an image with these steps on a base of its own."""

    def build_it(*steps: str) -> None:
        base = images.base_image(docker_client, _BASE, made)
        (tmp_path / "Dockerfile").write_text("\n".join((f"FROM {base}", *steps)))
        images.build(docker_client, "Dockerfile", _TAG, {}, made)

    return build_it


@pytest.fixture
def leave_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Whoever reads what is said goes away at these words, as `head` does."""

    def prepare(words: str) -> None:
        def say(text: str) -> None:
            if words in text:
                raise BrokenPipeError

        monkeypatch.setattr(images, "say", say)
        monkeypatch.setattr(progress, "say", say)

    return prepare


def _images(client: docker.DockerClient) -> set[str]:
    return {str(image["Id"]) for image in client.api.images(all=True)}


@pytest.mark.parametrize(
    "words",
    [
        "Importing the base image as supervisor-test-made-base-debian ...",
        "Importing the base image as supervisor-test-made-base-debian: done",
        "Building supervisor-test-made ...",
        *(f"Step {number}/4" for number in (1, 2, 3, 4)),
        "Building supervisor-test-made: done",
    ],
)
def test_nothing_is_left_wherever_its_reader_goes_away(
    docker_client: docker.DockerClient,
    made: list[str],
    build: Build,
    leave_at: Callable[[str], None],
    words: str,
) -> None:
    leave_at(words)
    with pytest.raises(BrokenPipeError):
        build(*_STEPS)
    images.remove(docker_client, made)


def test_a_build_that_is_left_ends_at_once(
    docker_client: docker.DockerClient,
    made: list[str],
    build: Build,
    leave_at: Callable[[str], None],
) -> None:
    leave_at("Step 2/2")
    try:
        build(_SLOW)
    except BrokenPipeError:  # it is not over during the removal, as in the demo
        images.remove(docker_client, made)


def test_what_is_somebody_elses_stays(
    docker_client: docker.DockerClient, made: list[str], build: Build
) -> None:
    images.import_busybox(docker_client, "supervisor-test-theirs")
    context = images._context({"Dockerfile": b"FROM supervisor-test-theirs\nENV A=1\nENV B=2"})
    theirs = docker_client.images.build(fileobj=context, custom_context=True, rm=True)[0]
    before = _images(docker_client)
    build(*_STEPS)
    images.remove(docker_client, made)
    assert before == _images(docker_client)
    docker_client.images.remove(str(theirs.id))
    docker_client.images.remove("supervisor-test-theirs")


def test_an_image_is_noted_before_it_is_there(
    docker_client: docker.DockerClient, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A signal may come right after the Engine has made it.
    import_ = docker_client.api.import_image_from_data

    def interrupted(*arguments: Any, **options: Any) -> NoReturn:
        import_(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(docker_client.api, "import_image_from_data", interrupted)
    with pytest.raises(KeyboardInterrupt):
        images.import_busybox(docker_client, _TAG, made)
    images.remove(docker_client, made)


@pytest.mark.usefixtures("made")
def test_an_image_that_appears_during_the_removal_is_removed_too(
    docker_client: docker.DockerClient, engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The Engine finishes an import whose client has gone.
    def appear() -> None:
        with closing(docker.DockerClient(engine.host)) as another:
            images.import_busybox(another, _TAG)

    late = threading.Thread(target=appear)
    monkeypatch.setattr(images, "time", _ClockThatWaitsFor(late))
    images.remove(docker_client, [_TAG])
    assert not late.is_alive()


class _ClockThatWaitsFor:
    """Stands still from its first use until a thread, which begins then, has ended."""

    def __init__(self, thread: threading.Thread) -> None:
        self._thread, self._began, self._stood = thread, 0.0, 0.0
        self.sleep = time.sleep

    def monotonic(self) -> float:
        now = time.monotonic()
        if not self._began:
            self._began = now
            self._thread.start()
        if self._thread.is_alive():
            self._stood = now - self._began
        return now - self._stood


def test_a_build_that_fails_is_told_in_plain_words(
    docker_client: docker.DockerClient, made: list[str], build: Build
) -> None:
    with pytest.raises(images.BuildError, match="it went wrong") as caught:
        build(_FAILING)
    images.remove(docker_client, made)
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", str(caught.value)), str(caught.value)


def test_certificates_of_this_machine_are_trusted_in_what_is_built(
    docker_client: docker.DockerClient,
    made: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "bundle.crt").write_text("certificates")
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "bundle.crt"))
    image = docker_client.images.get(images.base_image(docker_client, _BASE, made))
    assert "PIP_CERT=/etc/ssl/host-certificates.crt" in image.attrs["Config"]["Env"]
    images.remove(docker_client, made)


@pytest.mark.parametrize("program", [sys.executable, "/nowhere"])
def test_a_busybox_that_needs_libraries_or_is_missing_makes_way_for_one_that_needs_none(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    installed: list[str] = []
    monkeypatch.setattr(apt, "install", installed.append)
    busybox.ensure()
    assert [] == installed
    monkeypatch.setattr(busybox, "PROGRAM", Path(program))
    busybox.ensure()
    assert ["busybox-static"] == installed
