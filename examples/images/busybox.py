"""A static busybox, which is the only content of the image of the tests' workers."""

import struct
from pathlib import Path

from scripts import apt

PROGRAM = Path("/bin/busybox")
_PT_INTERP = 3  # elf.h


def ensure() -> None:
    """Installs it in place of Debian's package `busybox`, which needs libraries."""
    if not PROGRAM.exists() or _names_a_loader(PROGRAM):
        apt.install("busybox-static")


def _names_a_loader(program: Path) -> bool:
    """Whether it is dynamic: then it has a PT_INTERP segment (64-bit ELF)."""
    image = program.read_bytes()
    (offset,) = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    kinds = [struct.unpack_from("<I", image, offset + size * n)[0] for n in range(count)]
    return _PT_INTERP in kinds
