"""What the lines of a pull say."""

from typing import Any

import pytest

from service.engine.capabilities import PullProgress
from service.engine.docker.parsing import Unreadable, read
from service.engine.docker.pulls import Layers, PullNews

LINES: list[dict[str, Any]] = [
    {"status": "Pulling from tests/worker", "id": "1"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "a"},
    {"status": "Already exists", "progressDetail": {}, "id": "b"},
    {"status": "Downloading", "progressDetail": {"current": 10, "total": 40}, "id": "a"},
    {"status": "Verifying Checksum", "progressDetail": {}, "id": "a"},
    {"status": "Download complete", "progressDetail": {}, "id": "a"},
    {"status": "Extracting", "progressDetail": {"current": 5, "total": 40}, "id": "a"},
    {"status": "Pull complete", "progressDetail": {}, "id": "a"},
    {"status": "Digest: sha256:0"},
    {"status": "Status: Downloaded newer image for tests/worker:1"},
]


def test_progress_counts_layers_and_what_is_fetched_of_them() -> None:
    layers = Layers()
    told = [layers.progress for line in LINES if layers.add(read(PullNews, line))]
    assert [
        PullProgress(1, 0, 0, 0),
        PullProgress(2, 1, 0, 0),
        PullProgress(2, 1, 40, 10),
        PullProgress(2, 1, 40, 10),
        PullProgress(2, 1, 40, 40),
        PullProgress(2, 1, 40, 40),
        PullProgress(2, 2, 40, 40),
    ] == told


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({"errorDetail": {"message": "denied"}, "error": "denied"}, "denied"),
        ({"error": "Podman's"}, "Podman's"),
        ({"status": "error"}, ""),
    ],
)
def test_a_fault_is_told_in_a_line(line: dict[str, Any], fault: str) -> None:
    assert fault == read(PullNews, line).fault


@pytest.mark.parametrize("line", [7, [], {"status": 7}, {"error": {}}])
def test_a_line_of_another_shape_cannot_be_read(line: object) -> None:
    with pytest.raises(Unreadable):
        read(PullNews, line)
