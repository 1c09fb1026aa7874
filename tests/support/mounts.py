"""Mounts as tests make them, by the system call: a small system has no `mount`."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import leftovers

_MS_BIND = 4096  # sys/mount.h


def bind(source: Path, point: Path) -> None:
    """Let a folder be seen at a second place, until that is unmounted."""
    point.mkdir(parents=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(os.fsencode(source), os.fsencode(point), None, _MS_BIND, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(point))


@contextmanager
def bound(source: Path, point: Path) -> Iterator[None]:
    """Likewise, until the end of this."""
    bind(source, point)
    try:
        yield
    finally:
        leftovers.unmount(point)
