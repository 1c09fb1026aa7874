"""Checks that the Engine is a manager of a Swarm, and says what to do if it cannot be one."""

from docker.utils import version_lt

from service.engine.docker.client import Client
from service.engine.swarm.manager import Manager
from service.errors import EngineUnavailable, StartError

# Docker 20.10, the first version that limits the processes of a service's containers.
_OLDEST_API = "1.41"
_INACTIVE, _LOCKED, _ACTIVE = "inactive", "locked", "active"
_WHERE = "SUPERVISOR_ENGINE=swarm: the engine of DOCKER_HOST"


def check_swarm(client: Client) -> None:
    """Raise `StartError` with advice, or `EngineUnavailable` if waiting may help."""
    if version_lt(client.api_version, _OLDEST_API):
        raise StartError(
            f"{_WHERE} speaks API {client.api_version}, which is too old;"
            " update it to Docker 20.10 or later"
        )
    info = Manager(client).info()
    swarm = info.Swarm
    if swarm.LocalNodeState == _INACTIVE:
        first = "turn `live-restore` off, which Docker refuses in a Swarm, and "
        raise StartError(
            f"{_WHERE} is in no Swarm; {first if info.LiveRestoreEnabled else ''}run `docker swarm"
            " init` there, or let DOCKER_HOST name a manager"
        )
    if swarm.LocalNodeState == _LOCKED:
        raise StartError(f"{_WHERE} is locked; run `docker swarm unlock` there")
    if swarm.LocalNodeState == _ACTIVE and not swarm.ControlAvailable and not swarm.Error:
        raise StartError(
            f"{_WHERE} is a worker; let DOCKER_HOST name a manager, or run `docker node promote`"
        )
    if not swarm.ControlAvailable:
        raise EngineUnavailable(f"the manager is not ready: {swarm.Error or swarm.LocalNodeState}")
