from typing import Any

import pytest

from service.engine.docker.connection import Connection
from service.engine.docker.legacy import LegacyContainers

OUR_LABEL = "area.supervisor.instance"


class Client:
    """Lists what it is given."""

    def __init__(self, *containers: dict[str, Any]) -> None:
        self._containers = containers

    def containers(self, *, all: bool) -> list[dict[str, Any]]:  # noqa: A002 - docker-py's name
        assert all
        return list(self._containers)


def container(image: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "Id": "c1",
        "Names": ["/weather"],
        "Image": image,
        "Status": "Up 3 hours",
        "Labels": labels,  # None where there is none, as the Engine says it
    }


def found(item: dict[str, Any], *images: str) -> list[tuple[str, str, str, str]]:
    legacy = LegacyContainers(Connection("unix:///nowhere"))
    legacy._clients.get = lambda: Client(item)  # type: ignore[assignment,method-assign,return-value]
    return [(c.id, c.name, c.image, c.status) for c in legacy.find(images, OUR_LABEL)]


@pytest.mark.parametrize("image", ["supervisor-github", "supervisor-github:latest"])
@pytest.mark.parametrize("in_catalogue", ["supervisor-github", "supervisor-github:latest"])
def test_an_unlabelled_container_of_a_catalogued_image_is_found(
    image: str, in_catalogue: str
) -> None:
    assert [("c1", "weather", image, "Up 3 hours")] == found(container(image), in_catalogue)


@pytest.mark.parametrize("image", ["other", "supervisor-github:1", "my-supervisor-github"])
def test_a_container_of_another_image_is_left_alone(image: str) -> None:
    assert [] == found(container(image), "supervisor-github", "supervisor-git")


def test_a_container_with_our_label_is_left_alone() -> None:
    ours = container("supervisor-github", {OUR_LABEL: "demo"})
    assert [] == found(ours, "supervisor-github")


def test_a_container_that_compose_runs_is_left_alone() -> None:
    composed = container("supervisor-github", {"com.docker.compose.container-number": "1"})
    assert [] == found(composed, "supervisor-github")


def test_the_labels_of_an_image_that_compose_built_do_not_matter() -> None:
    built = container("supervisor-github", {"com.docker.compose.project": "area"})
    assert 1 == len(found(built, "supervisor-github"))
