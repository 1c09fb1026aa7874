"""A busybox that needs no libraries: all that the image of the tests' workers has in it."""

import struct
from pathlib import Path

from scripts import apt

PROGRAM = Path("/bin/busybox")
_PT_INTERP = 3  # elf.h


def ensure() -> None:
    """Installs it, in place of the one of Debian's package `busybox`, which needs libraries."""
    if not PROGRAM.exists() or _names_a_loader(PROGRAM):
        apt.install("busybox-static")


def _names_a_loader(program: Path) -> bool:
    """By its ELF header, of 64 bits: one of its segments says what loads its libraries."""
    image = program.read_bytes()
    (offset,) = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    kinds = [struct.unpack_from("<I", image, offset + size * n)[0] for n in range(count)]
    return _PT_INTERP in kinds
