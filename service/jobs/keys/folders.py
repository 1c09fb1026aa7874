"""Reads the values of catalogue keys that are folders and volumes."""

import re
from posixpath import normpath

from service.engine.workload_spec import AUTH_FOLDER, Volume
from service.jobs.keys.table import NotAllowed

# The Engine mounts these itself; and the supervisor, the last one.
KEPT = re.compile(rf"/|(/proc|/sys|/dev|{AUTH_FOLDER})(/.*)?")
# The separators of `volumes`, and of the options of Docker's mounts.
_PATH = re.compile(r"/(?!/)[^\x00-\x1f:,]*")
# Docker's names of volumes have at least two characters.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,254}")
_READ_ONLY = "ro"


def read_folder(value: str) -> str:
    """A path in a container, or "" for that of the image."""
    if value and not _is_path(value):
        raise ValueError
    return value


def read_volume(value: str) -> Volume:
    """`NAME:PATH`, `NAME:PATH:ro`, or with a folder of the host in place of the name."""
    source, _, rest = value.partition(":")
    path, colon, mode = rest.partition(":")
    if colon and mode != _READ_ONLY:
        raise NotAllowed(f"{value!r} may only have ro after its path")
    if not _NAME.fullmatch(source) and not _is_path(source):
        raise NotAllowed(f"{source!r} is not the name of a volume, nor a path without .. in it")
    if not _is_path(path) or KEPT.fullmatch(path):
        raise NotAllowed(
            f"{path!r} is not a path for a volume; not /, /dev, /proc, /sys, {AUTH_FOLDER}"
        )
    return Volume(source, path, read_only=bool(colon))


def _is_path(text: str) -> bool:
    return bool(_PATH.fullmatch(text)) and normpath(text) == text
