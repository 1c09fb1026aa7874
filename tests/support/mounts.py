"""Mounts as tests make them, by the system call: a small system has no `mount`."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import leftovers

_MS_RDONLY, _MS_REMOUNT, _MS_BIND = 1, 32, 4096  # sys/mount.h


def bind(source: Path, point: Path) -> None:
    """Let a folder be seen at a second place, until that is unmounted."""
    point.mkdir(parents=True)
    _mount(source, point, None, _MS_BIND)


@contextmanager
def bound(source: Path, point: Path) -> Iterator[None]:
    """Likewise, until the end of this."""
    bind(source, point)
    try:
        yield
    finally:
        leftovers.unmount(point)


@contextmanager
def a_disk(point: Path, *, kib: int) -> Iterator[Path]:
    """A disk of its own with so much room, until the end of this."""
    point.mkdir(parents=True)
    _mount("tmpfs", point, "tmpfs", options=f"size={kib}k")
    try:
        yield point
    finally:
        leftovers.unmount(point)


def remount(point: Path, *, read_only: bool) -> None:
    """Let nobody write on a disk, or everybody again."""
    _mount("tmpfs", point, "tmpfs", _MS_REMOUNT | (_MS_RDONLY if read_only else 0))


def _mount(
    source: Path | str, point: Path, kind: str | None, flags: int = 0, options: str = ""
) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    of_kind = None if kind is None else kind.encode()
    what, where = os.fsencode(source), os.fsencode(point)
    if libc.mount(what, where, of_kind, ctypes.c_ulong(flags), options.encode() or None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(point))
