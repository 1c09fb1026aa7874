"""Lists of containers."""

from service.engine.docker.names import has_ended, is_aside
from service.engine.docker.parsed_fields import MaybeLabels, NotEmpty, digest, status
from service.engine.docker.parsing import Answer, read
from service.engine.workloads import Health, Workload

# How a list shows them, at the end of `Status`.
_LISTED_HEALTH = {
    "(health: starting)": Health.STARTING,
    "(healthy)": Health.HEALTHY,
    "(unhealthy)": Health.UNHEALTHY,
}


class _HostConfig(Answer):
    NetworkMode: str | None = None


class Listed(Answer):
    """A container in a list."""

    Id: NotEmpty
    Names: list[str] | None = None
    Labels: MaybeLabels = None
    State: str
    Created: float
    Status: str | None = None
    ImageID: str = ""
    HostConfig: _HostConfig | None = None


class ListedNames(Answer):
    """The names of a container in a list."""

    Names: list[str] | None = None


def workload(item: object) -> Workload:
    """An item of a list, as a workload. Raises `Unreadable`."""
    found = read(Listed, item)
    name = (found.Names or ["/"])[0].removeprefix("/")
    return Workload(
        id=found.Id,
        name=name,
        aside=is_aside(name, found.Id),
        replaced=has_ended(name, found.Id),
        status=status(found.State),
        labels=found.Labels or {},
        created_at=found.Created,
        paused=found.State == "paused",
        network_of=_network_of(found.HostConfig),
        image_digest=digest(found.ImageID),
        health=_listed_health(found.Status or ""),
    )


def _network_of(host: _HostConfig | None) -> str:
    """The id of the container whose network it shares, from `container:ID`."""
    kind, _, container_id = ((host and host.NetworkMode) or "").partition(":")
    return container_id if kind == "container" else ""


def _listed_health(status: str) -> Health:
    """The health in a text such as `Up 5 minutes (healthy)`."""
    found = (health for words, health in _LISTED_HEALTH.items() if status.endswith(words))
    return next(found, Health.UNKNOWN)
