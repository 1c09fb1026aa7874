"""The engines by name. An adapter, and the library that it needs, are loaded once it is opened.

`service/engine/late.py` stands for an engine until then (decision 44).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observability.metrics import Metrics
from service.engine.base import Engine
from service.engine.docker.names import DOCKER_TITLE

if TYPE_CHECKING:
    from service.engine.docker.legacy import LegacyContainers


@dataclass(frozen=True, slots=True)
class OpenedEngine:
    """An engine, and where it is.

    `address` is the same for one engine, in whatever way it was given; it may hold a password.
    `shown` is for the log.
    """

    engine: Engine
    address: str = field(repr=False)
    shown: str


@dataclass(frozen=True, slots=True)
class EngineKind:
    """An engine that can be asked for by its name, which metrics have, too.

    `open` takes the labels of the workloads that are ours, and how many starts there may be at
    once. It connects to nothing yet. It raises `StartError` if the environment is wrong.
    """

    name: str
    title: str
    open: Callable[[Mapping[str, str], Metrics, int], OpenedEngine]


def _open_docker(selector: Mapping[str, str], metrics: Metrics, launches: int) -> OpenedEngine:
    from service.engine.docker.connection import connection_from_env
    from service.engine.docker.engine import DockerEngine

    connection = connection_from_env()
    engine = DockerEngine(connection, selector, metrics, launches=launches)
    return OpenedEngine(engine, connection.address, connection.shown)


_KINDS = [EngineKind("docker", DOCKER_TITLE, _open_docker)]
ENGINES: Mapping[str, EngineKind] = {kind.name: kind for kind in _KINDS}


def open_legacy_containers() -> "LegacyContainers":
    """What finds the containers of the Go supervisor, which ran on Docker. Raises `StartError`."""
    from service.engine.docker.connection import connection_from_env
    from service.engine.docker.legacy import LegacyContainers

    return LegacyContainers(connection_from_env())
