"""The engines by name. Opening an engine loads its adapter and the library that it needs.

Until then, `service/engine/placeholder.py` takes its place (decision 44).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from observability.escaping import printable
from observability.metrics import Metrics
from service.diagnosis.surroundings import is_local
from service.engine.base import Engine
from service.engine.docker.host_paths import obstacle
from service.engine.docker.names import DOCKER_TITLE
from service.engine.swarm.names import NO_HEALTHCHECKS, SWARM_TITLE
from service.engine.workload_spec import ImageSource, PullPolicy
from service.errors import StartError
from service.jobs.catalog import Catalog
from service.jobs.catalog_keys import Entry
from service.settings import Settings

if TYPE_CHECKING:
    from service.engine.docker.images import LocalImages
    from service.engine.docker.legacy import LegacyContainers
    from service.engine.examiner import Examiner


@dataclass(frozen=True, slots=True)
class OpenedEngine:
    """An engine and its address.

    Two ways to write the address of one engine give the same `address`, which may contain a
    password. `shown` is for the log.
    """

    engine: Engine
    address: str = field(repr=False)
    shown: str


@dataclass(frozen=True, slots=True)
class EngineKind:
    """A kind of engine. Metrics use its name.

    `open` takes the labels that select our workloads. It does not connect yet, and raises
    `StartError` if the environment is wrong. `check` raises it for settings and a catalogue that do
    not fit this engine.
    """

    name: str
    title: str
    open: Callable[[Mapping[str, str], Metrics, Settings], OpenedEngine]
    check: Callable[[Settings, Catalog], None] = lambda _, __: None


def _open_docker(selector: Mapping[str, str], metrics: Metrics, settings: Settings) -> OpenedEngine:
    from service.engine.docker.connection import connection_from_env
    from service.engine.docker.engine import DockerEngine

    connection = connection_from_env()
    engine = DockerEngine(
        connection,
        selector,
        metrics,
        launches=settings.max_launches_under_way,
        allowed_folders=settings.allowed_folders,
    )
    return OpenedEngine(engine, connection.address, connection.shown)


def _open_swarm(selector: Mapping[str, str], metrics: Metrics, settings: Settings) -> OpenedEngine:
    from service.engine.docker.connection import connection_from_env
    from service.engine.swarm.engine import SwarmEngine

    connection = connection_from_env()
    engine = SwarmEngine(
        connection,
        selector,
        metrics,
        launches=settings.max_launches_under_way,
        allowed_folders=settings.allowed_folders,
    )
    return OpenedEngine(engine, connection.address, connection.shown)


def _check_docker(settings: Settings, catalog: Catalog) -> None:
    _check_folders(settings, catalog)
    for name, entry in catalog.items():
        if entry.placement:
            raise StartError(
                f"jobs.{printable(name)}.placement: is for SUPERVISOR_ENGINE=swarm; an engine alone"
                " has no nodes to choose from"
            )


def _check_folders(settings: Settings, catalog: Catalog) -> None:
    """Refuse folders of the engine's host that no job may have."""
    for name, entry in catalog.items():
        for source in (each.source for each in entry.volumes if each.is_folder):
            if reason := obstacle(source, settings.allowed_folders):
                raise StartError(f"jobs.{printable(name)}.volumes: {source}: {reason}")


# A second of each launch on a Swarm is kept for removing what does not begin, or for saying why; a
# task needs half of one (seconds).
_SHORTEST_LAUNCH_ON_SWARM = 2.0
# Keys that services do not have.
_NOT_ON_SWARM = {
    "runtime": "a service runs with the default runtime of its node, which its daemon.json names",
    "gpus": "a service has no GPUs by number or id",
}


def _check_swarm(settings: Settings, catalog: Catalog) -> None:
    _check_folders(settings, catalog)
    for name, entry in catalog.items():
        _check_job_on_swarm(name, entry)
    if not settings.production:
        raise StartError(
            f"GO_ENV={settings.go_env}: with SUPERVISOR_ENGINE=swarm allowed is production: what is"
            " kept could not keep its name unique"
        )
    if is_local(settings.grpc_callback_host):
        raise StartError(
            f"GRPC_CALLBACK_HOST={settings.grpc_callback_host}: with SUPERVISOR_ENGINE=swarm this"
            " is the node that a job runs on; name the backend as all nodes find it"
        )
    if settings.launch_timeout_seconds < _SHORTEST_LAUNCH_ON_SWARM:
        raise StartError(
            f"LAUNCH_TIMEOUT_SECONDS={settings.launch_timeout_seconds:g}: with"
            f" SUPERVISOR_ENGINE=swarm allowed is at least {_SHORTEST_LAUNCH_ON_SWARM:g}: no task"
            " would begin in time"
        )
    if settings.orphan_grace_seconds <= settings.launch_timeout_seconds:
        raise StartError(
            f"ORPHAN_GRACE_SECONDS={settings.orphan_grace_seconds:g}: with SUPERVISOR_ENGINE=swarm"
            f" allowed is more than LAUNCH_TIMEOUT_SECONDS={settings.launch_timeout_seconds:g}:"
            " what does not run yet may be the launch of another supervisor"
        )


def _check_job_on_swarm(name: str, entry: Entry) -> None:
    _check_image_on_swarm(name, entry.source)
    for key, reason in _NOT_ON_SWARM.items():
        if getattr(entry, key):
            raise StartError(
                f"jobs.{printable(name)}.{key}: is not for SUPERVISOR_ENGINE=swarm: {reason}"
            )
    if entry.checks_health:
        key = "ready" if entry.ready_within is not None else "healthcheck"
        raise StartError(f"jobs.{printable(name)}.{key}: {NO_HEALTHCHECKS}")
    if entry.image and entry.auth == "file" and not _is_number(entry.user or ""):
        raise StartError(
            f'jobs.{printable(name)}.auth: "file" needs a `user` that is a number, with'
            " SUPERVISOR_ENGINE=swarm: a manager does not know the users of images"
        )


def _is_number(user: str) -> bool:
    return user.partition(":")[0].isdecimal()


def _check_image_on_swarm(job: str, source: ImageSource) -> None:
    if source.pull is not PullPolicy.NEVER:
        raise StartError(
            f"jobs.{printable(job)}.pull = {str(source.pull)!r}: with SUPERVISOR_ENGINE=swarm"
            " allowed is never: the nodes of a Swarm pull by themselves, at each launch"
        )
    if source.platform:
        raise StartError(
            f"jobs.{printable(job)}.platform = {source.platform!r}: is not for"
            " SUPERVISOR_ENGINE=swarm, where each node pulls what it can run; choose the nodes with"
            " `placement`, such as node.platform.arch==aarch64"
        )


# What runs at the start of a supervisor may be the job of another one; and a manager has several
# nodes start tasks while each launch waits for its own.
_ON_SWARM: Mapping[str, str | int] = {
    "supervisor_on_start": "adopt",
    "max_launches_under_way": 16,
}

_KINDS = [
    EngineKind("docker", DOCKER_TITLE, _open_docker, _check_docker),
    EngineKind("swarm", SWARM_TITLE, _open_swarm, _check_swarm),
]
ENGINES: Mapping[str, EngineKind] = {kind.name: kind for kind in _KINDS}


def adapted(settings: Settings) -> Settings:
    """With the engine's own defaults of what is not set."""
    if settings.supervisor_engine != "swarm":
        return settings
    unset = _ON_SWARM.keys() - settings.model_fields_set
    return settings.model_copy(update={name: _ON_SWARM[name] for name in unset})


def open_legacy_containers() -> "LegacyContainers":
    """Access to the containers of the Go supervisor, which ran on Docker. Raises `StartError`."""
    from service.engine.docker.connection import connection_from_env
    from service.engine.docker.legacy import LegacyContainers

    return LegacyContainers(connection_from_env())


def open_local_images() -> "LocalImages":
    """Access to the images of the Docker Engine. Raises `StartError`."""
    from service.engine.docker.connection import connection_from_env
    from service.engine.docker.images import LocalImages

    return LocalImages(connection_from_env())


def open_examiner(settings: Settings | None) -> "Examiner":
    """Access to the engine for a check-up; to Docker if there are no settings.

    Raises `StartError`.
    """
    from service.engine.docker.connection import connection_from_env

    connection = connection_from_env()
    if settings is not None and settings.supervisor_engine == "swarm":
        from service.engine.swarm.examiner import SwarmExaminer

        return SwarmExaminer(connection)
    from service.engine.docker.examiner import DockerExaminer

    return DockerExaminer(connection)


def runs_in_container() -> bool:
    """Whether this process is in a container."""
    from service.engine.docker.own_container import find_own_container

    own = find_own_container()
    return own.contained or bool(own.ids)  # which a program that is run in one later has, too
