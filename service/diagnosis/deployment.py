"""Checks of what jobs need on the engine: images, networks, the backend, room on the disk."""

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from service.diagnosis.case import Case
from service.diagnosis.checks import Check, Finding, Skip, Status, error, ok, warning
from service.diagnosis.engine_checks import LOCK_OUT, RESTART_IT, known_faults, some
from service.diagnosis.inside import look_from_inside
from service.diagnosis.seen import Disk, Inside
from service.diagnosis.surroundings import HOST_NETWORK, Surroundings, networks_of
from service.errors import EngineTimeout

_BUILD_IT = (
    "build it, tag it with this name or pull it on the Engine's host, or have it pulled (`pull` in"
    " the catalogue)"
)
_CALLBACK = (
    "start the backend, or let GRPC_CALLBACK_HOST and GRPC_CALLBACK_PORT name it as that network"
    " finds it (docs/engines.md#engines-with-another-configuration); a firewall on its host may"
    " refuse containers"
)
_CLEAR_UP = "clear it up (docs/runbook.md#the-engines-disk-is-full)"
_MOST_NETWORKS = 3
_GIB = 2**30
_FULL, _NEARLY_FULL, _SHARE = _GIB, 20 * _GIB, 0.1
_FEW_FILES, _SHARE_OF_FILES = 1000, 0.05
_CONNECT = 5.0  # seconds


def _images(case: Case) -> Iterator[Finding]:
    if case.on_swarm:
        raise Skip("the nodes of a Swarm pull the images themselves")
    catalog, engine = case.known_catalog, case.engine
    there = engine.images(sorted(catalog.images))
    yield ok(f"the Engine has {len(there)} of {len(catalog.images)} images")
    for image in sorted(catalog.images_to_be_there - there):
        jobs = [name for name, entry in catalog.items() if entry.image == image]
        yield missing_image(image, jobs)


def missing_image(image: str, jobs: Sequence[str]) -> Finding:
    """An image that is not on the Engine, and that no launch pulls."""
    return error(f"is not on the Engine: each launch of {some(jobs)} gets 422", _BUILD_IT, image)


def _networks(case: Case) -> Iterator[Finding]:
    wanted = networks_of(case.known_catalog, case.settings)
    try:
        there = frozenset(case.engine.networks())
    except EngineTimeout as hangs:
        locked_out = LOCK_OUT in known_faults(case.facts)
        what = "it has locked itself out: nothing starts and nothing ends" if locked_out else hangs
        yield error(f"it does not list its networks: {what}", RESTART_IT)
        return
    who, how = ("Swarm", "--driver overlay ") if case.on_swarm else ("Engine", "")
    for network in sorted(wanted - there):
        yield error(
            f"the {who} has no such network: each launch in it gets 502",
            f"make it (`docker network create {how}{network}`), or correct JOB_NETWORK or"
            " `network`",
            network,
        )
    if found := sorted(wanted & there):
        yield ok(f"there: {some(found)}")


def _surroundings(case: Case) -> Iterator[Finding]:
    surroundings = Surroundings(case.known_catalog, case.settings)
    found = {*surroundings.of_settings()}
    found |= {*surroundings.of_engine(case.facts.traits, case.facts.offers)}
    for each in sorted(found):
        yield warning(each.meaning, each.helps, each.about)
    if not found:
        yield ok("nothing keeps jobs from starting or from calling back")


def _callback(case: Case) -> Iterator[Finding]:
    networks = sorted(networks_of(case.known_catalog, case.settings))
    for network in networks[:_MOST_NETWORKS]:
        seen = _inside(case, network)
        yield _of_callback(case, network, seen)


def _of_callback(case: Case, network: str, seen: Inside | str) -> Finding:
    callback = case.settings.callback
    subject = f"{callback} from the network {network}"
    if isinstance(seen, Inside):
        if seen.reached:
            where = " of this manager" if case.on_swarm else ""
            return ok(f"a container{where} reaches it (with {seen.image})", subject)
        return error(f"a container does not reach it: {seen.why}", _CALLBACK, subject)
    if network == HOST_NETWORK and case.examiner.socket:
        return _from_here(case, subject, seen)
    return Finding(Status.SKIPPED, f"could not be tried from inside: {seen}", "", subject)


def _from_here(case: Case, subject: str, why: str) -> Finding:
    """Of the host's network, without a container: from where this process is.

    A container of its own may have another network.
    """
    settings = case.settings
    host = settings.grpc_callback_host.strip("[]")
    tried = f"no container could try it ({why}); from this process"
    try:
        socket.create_connection((host, settings.grpc_callback_port), _CONNECT).close()
    except OSError as refused:
        reason = refused.strerror or str(refused)
        if case.in_container:
            tried += f", which is in a container, it is not reached: {reason}"
            return Finding(Status.SKIPPED, tried, "", subject)
        return error(f"{tried}: {reason}", _CALLBACK, subject)
    return ok(f"{tried} it is reached", subject)


def _disk(case: Case) -> Iterator[Finding]:
    folder = case.facts.folder
    disk = _local_disk(case, folder) or _disk_from_inside(case)
    if disk is None:
        raise Skip(
            f"{folder}: cannot be seen from here; `df -h {folder}` on the Engine's host shows it"
        )
    free = f"{folder}: {disk.free / _GIB:.1f} of {disk.total / _GIB:.0f} GiB are free"
    if disk.free < _FULL:
        yield error(f"{free}; no container can be made without room", _CLEAR_UP)
    elif disk.free < min(_NEARLY_FULL, _SHARE * disk.total):
        yield warning(free, _CLEAR_UP)
    else:
        yield ok(free)
    yield from _inodes(case, folder)


def _inodes(case: Case, folder: str) -> Iterator[Finding]:
    """A disk may have room for bytes, but for no more files."""
    found = _statvfs(case, folder)
    if found is None or not found.f_files:  # some file systems have no such limit
        return
    few = f"{folder}: {found.f_favail} of {found.f_files} inodes are free (`df -i`)"
    if found.f_favail < _FEW_FILES:
        yield error(f"{few}; no container can be made without files", _CLEAR_UP)
    elif found.f_favail < _SHARE_OF_FILES * found.f_files:
        yield warning(few, _CLEAR_UP)


def _local_disk(case: Case, folder: str) -> Disk | None:
    found = _statvfs(case, folder)
    return found and Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


def _statvfs(case: Case, folder: str) -> os.statvfs_result | None:
    """If the Engine is on this host, and this process is in no container."""
    if not case.examiner.socket or case.in_container or not folder:
        return None
    try:
        return os.statvfs(Path(folder))
    except OSError:
        return None


def _disk_from_inside(case: Case) -> Disk | None:
    for seen in case.seen.values():
        if isinstance(seen, Inside) and seen.disk:
            return seen.disk
    return None


def _inside(case: Case, network: str) -> Inside | str:
    settings = case.settings
    host, port = settings.grpc_callback_host.strip("[]"), settings.grpc_callback_port
    seen = look_from_inside(case, network, host, port)
    case.seen[network] = seen
    return seen


CHECKS = [
    Check("images", "the images of the catalogue", _images),
    Check("networks", "the networks of jobs", _networks),
    Check("surroundings", "what the Engine is set up for", _surroundings),
    Check("callback", "the backend, as jobs find it", _callback, _CALLBACK, within=60),
    Check("disk", "the disk of the Engine", _disk, within=5),
]
