"""Moving from the Go supervisor: `area-supervisor remove-legacy`."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import docker
import pytest
from docker.models.containers import Container

from scripts.private_engine import PrivateEngine
from tests.support import containers, worker
from tests.support.supervised import run_command

_OTHER_IMAGE = "supervisor-test-busybox"


@pytest.fixture(autouse=True)
def _clean(docker_client: docker.DockerClient) -> Iterator[None]:
    yield
    containers.remove_everything(docker_client)


class Run(Protocol):
    """Runs the command, with the tests' catalogue or another one."""

    def __call__(
        self, *arguments: str, catalog: Path | None = None
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def run(engine: PrivateEngine, tmp_path: Path, catalog: Path) -> Run:
    tests_own = catalog

    def run_it(*arguments: str, catalog: Path | None = None) -> subprocess.CompletedProcess[str]:
        settings = {
            "DOCKER_HOST": engine.host,
            "JOB_CATALOG": str(catalog or tests_own),
            "JOB_STOP_GRACE_SECONDS": "1",
        }
        return run_command(tmp_path, settings, "remove-legacy", *arguments)

    return run_it


@pytest.fixture
def legacy(docker_client: docker.DockerClient) -> list[Container]:
    """What the Go supervisor leaves: no labels, an image of the catalogue, live or not."""
    live = containers.stranger(docker_client, "weather-fetch-weather-Paris")
    exited = containers.stranger(docker_client, "legacy-exited")
    exited.kill()
    created = docker_client.containers.create(f"{worker.IMAGE}:latest", name="legacy-created")
    paused = containers.stranger(docker_client, "legacy-paused", {"of-the-image": "a label"})
    paused.pause()
    production = docker_client.containers.run(
        worker.IMAGE, name="legacy-production", detach=True, auto_remove=True, network_mode="host"
    )
    return [live, exited, created, paused, production]


@pytest.fixture
def others(docker_client: docker.DockerClient) -> list[Container]:
    """What is not the Go supervisor's."""
    compose = {"com.docker.compose.project": "area", "com.docker.compose.container-number": "1"}
    return [
        containers.stranger(docker_client, "ours", containers.labels_of_another("default")),
        containers.stranger(docker_client, "another", containers.labels_of_another("another")),
        containers.stranger(docker_client, "compose", compose),
        docker_client.containers.create(_OTHER_IMAGE, ["sleep", "99"], name="other-image"),
    ]


def test_a_dry_run_lists_them_and_removes_nothing(
    run: Run,
    docker_client: docker.DockerClient,
    legacy: list[Container],
    others: list[Container],
) -> None:
    ended = run("--dry-run")
    assert 0 == ended.returncode, ended.stdout
    assert all(str(container.name) in ended.stdout for container in legacy)
    assert not any(f" {container.name} " in ended.stdout for container in others)
    assert worker.IMAGE in ended.stdout
    assert len(legacy) + len(others) == len(containers.everything(docker_client))
    assert containers.runs(legacy[0])


def test_it_lists_and_removes_them_and_nothing_else(
    run: Run,
    docker_client: docker.DockerClient,
    legacy: list[Container],
    others: list[Container],
) -> None:
    ended = run()
    assert 0 == ended.returncode, ended.stdout
    assert all(str(container.name) in ended.stdout for container in legacy)
    assert {c.id for c in others} == {c.id for c in containers.everything(docker_client)}
    assert all(map(containers.runs, others[:3]))
    again = run()
    assert 0 == again.returncode
    assert {c.id for c in others} == {c.id for c in containers.everything(docker_client)}


def test_a_tag_in_the_catalogue_is_the_same_image(
    run: Run, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    containers.stranger(docker_client, "legacy")
    catalog = tmp_path / "tagged.toml"
    catalog.write_text(f"[jobs]\ntimer = {{ kind = 'action', image = '{worker.IMAGE}:latest' }}\n")
    ended = run(catalog=catalog)
    assert 0 == ended.returncode, ended.stdout
    assert [] == containers.everything(docker_client)


def test_another_tag_is_another_image(run: Run, docker_client: docker.DockerClient) -> None:
    docker_client.images.get(worker.IMAGE).tag(worker.IMAGE, "mine")
    try:
        mine = docker_client.containers.create(f"{worker.IMAGE}:mine", name="mine")
        assert 0 == run().returncode
        assert containers.exists(mine)
        mine.remove()
    finally:
        docker_client.images.remove(f"{worker.IMAGE}:mine")


def test_a_container_whose_image_was_built_anew_is_found_all_the_same(
    run: Run, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    tag = "supervisor-test-rebuilt"
    docker_client.images.get(worker.IMAGE).tag(tag)
    old = containers.stranger(docker_client, "built-before", image=tag)
    docker_client.images.get(_OTHER_IMAGE).tag(tag)  # what a build does with the tag
    catalog = tmp_path / "rebuilt.toml"
    catalog.write_text(f"[jobs]\ntimer = {{ kind = 'action', image = '{tag}' }}\n")
    try:
        ended = run(catalog=catalog)
        assert 0 == ended.returncode, ended.stdout
        assert not containers.exists(old)
    finally:
        docker_client.images.remove(tag)


def test_a_long_name_is_listed_in_full(run: Run, docker_client: docker.DockerClient) -> None:
    name = "weather-fetch-weather-" + "-".join(["Llanfairpwllgwyngyll"] * 6)
    docker_client.containers.create(worker.IMAGE, name=name)
    ended = run("--dry-run")
    assert name in ended.stdout


def test_without_an_engine_it_ends_with_one_line(tmp_path: Path, catalog: Path) -> None:
    ended = run_command(tmp_path, {"JOB_CATALOG": str(catalog)}, "remove-legacy")
    (line,) = ended.stdout.splitlines()
    assert 1 == ended.returncode
    assert "Docker Engine" in line
