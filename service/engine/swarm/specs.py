"""Makes the spec of a service from a workload, and changes it: for a stop, or for other nodes."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from docker.types import (
    ContainerSpec,
    DNSConfig,
    DriverConfig,
    Mount,
    Placement,
    Resources,
    RestartPolicy,
    SecretReference,
    TaskTemplate,
)
from docker.utils import version_lt

from service.engine.docker.containers import ulimit
from service.engine.docker.surroundings import mount
from service.engine.swarm.names import NO_HEALTHCHECKS
from service.engine.swarm.tasks import NAME_LABEL, NOWHERE
from service.engine.swarm.templates import literal
from service.engine.workload_spec import (
    AUTH_FILE,
    Confinement,
    Healthcheck,
    Limits,
    Log,
    Surroundings,
    Tmpfs,
    Volume,
    WorkloadSpec,
)
from service.errors import EngineRefused, TooLargeForEngine

_NANO = 10**9
_SHM = "/dev/shm"  # noqa: S108 - in the container
_SECRET_MODE = 0o400
# How many tasks of a service Swarm keeps: one more than its restart policy has attempts, whatever
# the cluster's task-history-limit is. Without a policy, Swarm starts ended tasks again. A service
# that is started again after a stop has three: the stopped one, the one that never starts, and the
# successor. If Swarm has deleted the second one, the successor waits for its end, for a minute
# (SwarmKit's task_reaper.go and restart.go).
_KEPT = 3
# Raft accepts changes of up to 1.5 MiB (SwarmKit's store/memory.go). A stop changes a service,
# which also keeps its old spec. Swarm combines changes of several tasks up to three quarters of
# that, so a change of more than a quarter may be lost, together with the others. This is slightly
# more than a quarter: an identifier, which is in it three times, may be as long as with other
# engines.
_MOST_BYTES = 400 * 1024
# Docker 25. Services of earlier versions cannot be kept from gaining privileges.
_CONFINING_API = "1.44"


def can_gain_privileges(api_version: str) -> bool:
    """Whether services cannot be kept from gaining privileges."""
    return bool(version_lt(api_version, _CONFINING_API))


def _check_size(spec: WorkloadSpec) -> None:
    """Raise `TooLargeForEngine` if Swarm could not stop it, or might lose changes of its task."""
    texts = [*spec.arguments, *_pairs(spec.environment), *_pairs(spec.labels), *_pairs(spec.labels)]
    size = sum(len(each.encode()) for each in texts)
    if size > _MOST_BYTES:
        raise TooLargeForEngine(
            f"identifier, params and auth: are {size} bytes with variables and labels; on a Swarm"
            f" at most {_MOST_BYTES} are allowed together"
        )


def _pairs(texts: Mapping[str, str]) -> Iterator[str]:
    return (f"{name}={text}" for name, text in texts.items())


def service_of(spec: WorkloadSpec, api_version: str, secret_id: str = "") -> Mapping[str, Any]:
    """The service of a workload, with one task that is never started again.

    It is `Replicated`, because Swarm never stops running tasks of a job (moby issue 44312). Raises
    `EngineRefused` if the catalogue asks for something that a service cannot have, and
    `TooLargeForEngine` if Swarm could not change the service again.
    """
    if spec.healthcheck != Healthcheck():
        key = "ready" if spec.healthcheck.required else "healthcheck"
        raise EngineRefused(f"{key}: {NO_HEALTHCHECKS}")
    _check_size(spec)
    if spec.confinement.no_new_privileges and can_gain_privileges(api_version):
        raise EngineRefused(
            f"no_new_privileges: the manager speaks API {api_version}, and services take this key"
            f" from {_CONFINING_API} on (Docker 25); update Docker, or leave the key out"
        )
    return {
        "Name": spec.name,
        "Labels": dict(spec.labels),
        "Mode": {"Replicated": {"Replicas": 1}},
        "TaskTemplate": _task(spec, api_version, secret_id),
        "EndpointSpec": {"Mode": "dnsrr"},  # otherwise each service would get its own address
    }


def _task(spec: WorkloadSpec, api_version: str, secret_id: str) -> Mapping[str, Any]:
    container = ContainerSpec(
        spec.image,
        args=list(spec.arguments),
        env=[f"{name}={literal(value)}" for name, value in spec.environment.items()],
        labels={**spec.labels, NAME_LABEL: spec.name},
        stop_grace_period=int(spec.stop_grace * _NANO),
        stop_signal=spec.stop_signal,  # as promised to workers, whatever the image says
        init=spec.init,  # with one, SIGTERM reaches a worker without a handler of its own
        mounts=_mounts(spec),
        secrets=_secrets(spec, secret_id),
        **_confined(spec.confinement),
        **_surroundings(spec.surroundings),
    )
    # docker-py does not know these fields.
    if spec.limits.ulimits:
        container["Ulimits"] = [ulimit(each) for each in spec.limits.ulimits]
    if not can_gain_privileges(api_version):
        wanted = spec.confinement.no_new_privileges is not False
        container["Privileges"] = {"NoNewPrivileges": wanted}
    return TaskTemplate(
        container,
        resources=_resources(spec.limits),
        log_driver=_log_driver(spec.surroundings.log),
        restart_policy=RestartPolicy("none", max_attempts=_KEPT - 1),
        networks=[spec.network],
        placement=Placement(constraints=list(spec.placement)) if spec.placement else None,
    )


def _secrets(spec: WorkloadSpec, secret_id: str) -> list[SecretReference] | None:
    """The file with a secret, for the user of the workload alone."""
    if spec.secret is None:
        return None
    user, _, group = spec.confinement.user.partition(":")
    if not user.isdecimal():
        raise EngineRefused(f'auth: "file" needs a user with a number on a Swarm, and not {user!r}')
    gid = group if group.isdecimal() else "0"
    return [SecretReference(secret_id, spec.secret.name, AUTH_FILE, user, gid, _SECRET_MODE)]


def _confined(confinement: Confinement) -> Mapping[str, Any]:
    """Options of docker-py's `ContainerSpec`."""
    return {
        "user": confinement.user or None,
        "read_only": confinement.read_only,
        "cap_drop": list(confinement.cap_drop),
        "cap_add": list(confinement.cap_add),
    }


def _mounts(spec: WorkloadSpec) -> Sequence[Mount]:
    """Volumes and folders. A service has no option for the size of `/dev/shm`, but can mount it."""
    folders = list(spec.confinement.tmpfs)
    if spec.limits.shm_size and not any(each.path == _SHM for each in folders):
        folders.append(Tmpfs(_SHM, spec.limits.shm_size, 0o1777))
    return [
        *(_mount(each) for each in spec.surroundings.volumes),
        *(
            Mount(each.path, None, "tmpfs", tmpfs_size=each.size, tmpfs_mode=each.mode)
            for each in folders
        ),
    ]


def _mount(volume: Volume) -> Mount:
    return mount(replace(volume, source=literal(volume.source), path=literal(volume.path)))


def _surroundings(surroundings: Surroundings) -> Mapping[str, Any]:
    """Options of docker-py's `ContainerSpec`."""
    dns = surroundings.dns
    return {
        "workdir": surroundings.working_dir or None,
        "hosts": dict(surroundings.extra_hosts) or None,
        "dns_config": DNSConfig(nameservers=list(dns)) if dns else None,
    }


def _log_driver(log: Log | None) -> DriverConfig | None:
    return DriverConfig(log.driver, dict(log.options)) if log else None


def _resources(limits: Limits) -> Resources | None:
    found = Resources(
        cpu_limit=int(limits.cpus * _NANO) if limits.cpus else None,
        mem_limit=limits.memory,
        mem_reservation=limits.memory_reservation,
    )
    if limits.pids:
        found.setdefault("Limits", {})["Pids"] = limits.pids
    return found or None


def stopped(spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The spec with which Swarm ends the task of a service; None if the service has it already."""
    return None if NOWHERE in _constraints(spec) else _placed(spec, [NOWHERE])


def without_nodes(spec: Mapping[str, Any], nodes: Sequence[str]) -> Mapping[str, Any]:
    """The spec that keeps the task of a service away from these nodes."""
    more = [f"node.id!={node}" for node in nodes]
    return _placed(spec, [each for each in more if each not in _constraints(spec)])


def _constraints(spec: Mapping[str, Any]) -> list[str]:
    placement = spec["TaskTemplate"].get("Placement") or {}
    return placement.get("Constraints") or []


def _placed(spec: Mapping[str, Any], more: Sequence[str]) -> Mapping[str, Any]:
    changed = deepcopy(dict(spec))
    kept = changed["TaskTemplate"].get("Placement") or {}
    constraints = [*_constraints(spec), *more]
    changed["TaskTemplate"]["Placement"] = {**kept, **Placement(constraints=constraints)}
    return changed
