"""The options of docker-py that a workload's surroundings become."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from docker.types import DeviceRequest, Mount

from service.engine.workload_spec import Gpus, Log, Volume, WorkloadSpec

# The only driver that keeps everything for ever, as Docker's own default.
_ENDLESS = "json-file"
_ROTATED = Log(_ENDLESS, (("max-file", "3"), ("max-size", "10m")))


def rotated(spec: WorkloadSpec, engines_driver: str) -> WorkloadSpec:
    """The workload with a log that does not fill the disk, unless it has a log of its own.

    `engines_driver` is the one that the Engine has by default.
    """
    if spec.surroundings.log is not None or engines_driver != _ENDLESS:
        return spec
    return replace(spec, surroundings=replace(spec.surroundings, log=_ROTATED))


def host_options(spec: WorkloadSpec) -> Mapping[str, Any]:
    """Options of docker-py's `create_host_config`."""
    found = spec.surroundings
    return {
        "dns": list(found.dns) or None,
        "extra_hosts": dict(found.extra_hosts) or None,
        "mounts": [mount(each) for each in found.volumes] or None,
        "log_config": found.log and {"Type": found.log.driver, "Config": dict(found.log.options)},
        "runtime": found.runtime or None,
        "device_requests": [_device_request(found.gpus)] if found.gpus else None,
    }


def mount(volume: Volume) -> Mount:
    """A mount of the Engine, which makes a volume that is not there, and no folder of its host."""
    return Mount(
        volume.path,
        volume.source,
        "bind" if volume.is_folder else "volume",
        read_only=volume.read_only,
    )


def _device_request(gpus: Gpus) -> DeviceRequest:
    which: Mapping[str, Any] = {"device_ids": list(gpus.ids)} if gpus.ids else {"count": gpus.count}
    return DeviceRequest(capabilities=[["gpu"]], **which)
