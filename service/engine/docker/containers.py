"""Creates, starts and renames containers with docker-py."""

from contextlib import suppress
from http import HTTPStatus
from math import ceil
from typing import Any

import docker
from docker.errors import APIError

from observability.redaction.redactor import Redactor
from service.engine.docker.client import Client
from service.engine.docker.error_mapping import HOLDER
from service.engine.docker.inspections import Holder, Inspected
from service.engine.docker.names import name_aside
from service.engine.docker.parsing import Unreadable, read
from service.engine.docker.secret_volumes import mounts_of
from service.engine.docker.surroundings import host_options
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.workload_spec import Healthcheck, Tmpfs, Ulimit, WorkloadSpec
from service.errors import EngineFailed, EngineRefused, ImageMissing, NameTaken

# Docker's words, and Podman's.
_OTHER_PLATFORM = ("does not match the specified platform", "no such image")

# Docker's error for `none`, and for drivers that only send (moby's daemon/logger); Podman's.
_UNREADABLE = ("configured logging driver does not support reading", "is not logging output")


def create(client: docker.APIClient, spec: WorkloadSpec, reader: TolerantReader) -> str:
    """Create a container. Return its id."""
    try:
        answer = client.create_container(
            name=spec.name,
            platform=spec.source.platform or None,
            **container_options(client, spec),
        )
    except APIError as error:
        _raise_clearer(client, spec, error)
        raise
    return reader.created(answer, spec.redact)


def _raise_clearer(client: docker.APIClient, spec: WorkloadSpec, error: APIError) -> None:
    """Raise a more precise error if further calls to the Engine show the reason."""
    status = error.status_code or 0
    reason = spec.redact(str(error.explanation))
    unfit = spec.source.platform and any(words in reason for words in _OTHER_PLATFORM)
    if status == HTTPStatus.NOT_FOUND and unfit and _has_image(client, spec.image):
        message = f"image {spec.image}: is on the Docker Engine for another platform: {reason}"
        raise ImageMissing(message) from None
    if status == HTTPStatus.NOT_FOUND and _has_image(client, spec.image):
        message = f"the Docker Engine refused: create for {spec.name}: {reason}"
        raise EngineRefused(message) from None
    raise_if_taken(client, spec.name, error, reason)


def raise_if_taken(client: docker.APIClient, name: str, error: APIError, reason: str) -> None:
    """Raise `NameTaken` with the holder of a name if a create has failed for that reason."""
    status = error.status_code or 0
    # Podman has another text, and its status may be 500.
    unclear = status == HTTPStatus.CONFLICT and not HOLDER.search(str(error.explanation))
    if (unclear or status >= HTTPStatus.INTERNAL_SERVER_ERROR) and (
        holder := _holder_of(client, name)
    ):
        raise NameTaken(f"the container's name is taken: {reason}", holder) from None


def _has_image(client: docker.APIClient, image: str) -> bool:
    try:
        client.inspect_image(image)  # type: ignore[no-untyped-call]
    except APIError as error:
        if error.status_code == HTTPStatus.NOT_FOUND:
            return False
        raise
    return True


def _holder_of(client: docker.APIClient, name: str) -> str | None:
    """The id of the container with this name, if the Engine says it."""
    try:
        found = read(Holder, client.inspect_container(name))
    except (APIError, Unreadable):
        return None
    return found.Id if found.Name == f"/{name}" else None


def start(client: docker.APIClient, container_id: str, spec: WorkloadSpec) -> None:
    """Start a container. Raises `EngineFailed` if another try may succeed, and `EngineRefused`."""
    try:
        if spec.healthcheck.required:
            _require_healthcheck(client, container_id, spec)
        client.start(container_id)
    except APIError as error:
        if error.status_code == HTTPStatus.FORBIDDEN:
            _free_endpoint(client, container_id, spec)
        elif not has_been_removed(error):
            raise
        raise failed_start(spec.name, error, spec.redact) from None


def _require_healthcheck(client: docker.APIClient, container_id: str, spec: WorkloadSpec) -> None:
    """Raise `EngineRefused` if neither the image nor the job has a health check."""
    if not read(Inspected, client.inspect_container(container_id)).Config.has_healthcheck:
        raise EngineRefused(
            f'ready = "healthcheck": the image {spec.image} has no HEALTHCHECK, and the job has no'
            " `healthcheck` with a `command` in the catalogue"
        )


def set_aside(client: docker.APIClient, container_id: str) -> str:
    """Rename a container that cannot be removed. Return its new name."""
    name = read(Holder, client.inspect_container(container_id)).Name.removeprefix("/")
    aside = name_aside(name, container_id)
    if aside != name:
        client.rename(container_id, aside)
    return aside


def failed_start(name: str, error: APIError, redact: Redactor) -> EngineFailed:
    """The error of a start after which another try, with another container, may succeed."""
    reason = redact(str(error.explanation))
    return EngineFailed(f"the Docker Engine failed: start for {name}: {reason}")


def has_been_removed(error: APIError) -> bool:
    """Whether a third party has removed it: `docker container prune` removes unstarted ones."""
    gone = error.status_code == HTTPStatus.NOT_FOUND and "no such container" in str(error).lower()
    return gone or error.status_code == HTTPStatus.CONFLICT  # "is marked for removal"


def _free_endpoint(client: docker.APIClient, container_id: str, spec: WorkloadSpec) -> None:
    """Free the network endpoint that an earlier container of this name still has.

    With live-restore, a container that exits while the Engine starts keeps its endpoint for ever.
    The Engine frees it by name, and only while no container has the name.
    """
    with suppress(APIError):
        client.remove_container(container_id, v=True, force=True)
        client.disconnect_container_from_network(spec.name, spec.network, force=True)


def container_options(client: docker.APIClient, spec: WorkloadSpec) -> dict[str, Any]:
    """The options of docker-py's `create_container` for a workload's container."""
    return {
        "image": spec.image,
        "command": list(spec.arguments),
        "environment": dict(spec.environment),
        "labels": dict(spec.labels),
        "stop_signal": spec.stop_signal,  # workers rely on it, so an image cannot change it
        "stop_timeout": ceil(spec.stop_grace),  # where the Engine or a person stops it
        "user": spec.confinement.user or None,
        "working_dir": spec.surroundings.working_dir or None,
        "healthcheck": _healthcheck(spec.healthcheck),
        "host_config": _host_config(client, spec),
    }


def _host_config(client: docker.APIClient, spec: WorkloadSpec) -> dict[str, Any]:
    limits, confinement = spec.limits, spec.confinement
    config: dict[str, Any] = client.create_host_config(
        network_mode=spec.network,
        init=spec.init,  # with one, SIGTERM also ends a worker that does not handle it
        mem_limit=limits.memory,
        memswap_limit=limits.memory,  # no additional swap
        mem_reservation=limits.memory_reservation,
        nano_cpus=int(limits.cpus * 1e9) if limits.cpus else None,
        pids_limit=limits.pids,
        shm_size=limits.shm_size,
        ulimits=[ulimit(each) for each in limits.ulimits] or None,
        read_only=confinement.read_only,
        cap_drop=list(confinement.cap_drop),
        cap_add=list(confinement.cap_add),
        tmpfs={each.path: _options(each) for each in confinement.tmpfs},
        # Without it, the Engine's own default counts.
        security_opt=None if confinement.no_new_privileges is False else ["no-new-privileges"],
        **host_options(spec),
    )
    if mounts := [*mounts_of(spec), *config.get("Mounts", ())]:
        config["Mounts"] = mounts
    return config


def ulimit(limit: Ulimit) -> docker.types.Ulimit:
    """As the Engine takes it."""
    return docker.types.Ulimit(name=limit.name, soft=limit.soft, hard=limit.hard)


def _healthcheck(check: Healthcheck) -> dict[str, Any] | None:
    """As docker-py takes it. The Engine takes what is left out from the image."""
    given = {
        "test": ["CMD", *check.command] if check.command else None,
        "interval": _nanoseconds(check.interval),
        "timeout": _nanoseconds(check.timeout),
        "retries": check.retries,
        "start_period": _nanoseconds(check.start_period),
    }
    return {name: value for name, value in given.items() if value is not None} or None


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e9)


def _options(tmpfs: Tmpfs) -> str:
    """Added to the Engine's own, such as nosuid. Docker's have noexec already, Podman's do not."""
    given = {"size": tmpfs.size, "mode": tmpfs.mode and f"{tmpfs.mode:o}"}
    options = [f"{name}={value}" for name, value in given.items() if value is not None]
    return ",".join(["noexec", *options])


def last_output(client: Client, container_id: str, lines: int) -> str | None:
    """The last lines of output, or None if the container's log driver does not give them back."""
    try:
        return client.last_output("containers", container_id, lines)
    except APIError as error:
        if is_unreadable_log(error):
            return None
        raise


def is_unreadable_log(error: APIError) -> bool:
    """Whether a log driver does not give back what it has got."""
    return any(words in str(error.explanation) for words in _UNREADABLE)
