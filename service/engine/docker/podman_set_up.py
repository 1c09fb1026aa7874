"""Turns Podman's inspection of a container into Docker's, to make the successor from it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.engine.docker.secret_volumes import has_no_name, mount_of
from service.engine.workload_spec import AUTH_FOLDER

# Podman lists mounts in `Binds`, where an anonymous volume has a name: the successor would get the
# volume of its predecessor, and nobody would remove it. Podman derives the period and the quota
# from `NanoCpus`, and refuses all three together. The runtime is that of its service. The others
# are defaults of Podman.
_ITS_OWN = (
    *("Binds", "CpuPeriod", "CpuQuota", "Runtime"),
    *("MemorySwappiness", "PidMode", "UTSMode"),
)
_UNLIMITED = ("", "0B")


def as_given(found: Mapping[str, Any], log_size: str) -> Mapping[str, Any]:
    """Podman's inspection as Docker would return it. `log_size` is the maximum size of the log."""
    host = {key: value for key, value in found["HostConfig"].items() if key not in _ITS_OWN}
    host["Mounts"] = [*_mounts(found.get("Mounts") or (), found["Config"].get("Labels") or {})]
    if log_size not in _UNLIMITED:
        host["LogConfig"] = {**host["LogConfig"], "Config": {"max-size": log_size}}
    return {**found, "HostConfig": host}


def _mounts(
    mounts: Iterable[Mapping[str, Any]], labels: Mapping[str, str]
) -> Iterator[Mapping[str, Any]]:
    """Without the volumes that the image asks for: each container gets new ones."""
    for each in mounts:
        is_volume = each["Type"] == "volume"
        about = {"Target": each["Destination"], "ReadOnly": not each["RW"]}
        if each["Destination"] == AUTH_FOLDER:
            yield mount_of(labels)
        elif not (is_volume and has_no_name(each["Name"])):
            source = each["Name"] if is_volume else each["Source"]
            yield {"Type": each["Type"], "Source": source, **about}
