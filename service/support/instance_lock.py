"""The lock of this host on an instance: an abstract Unix socket.

The kernel frees it with its holder, however that ends, and no file is left behind (unix(7)).
"""

import hashlib
import socket
from pathlib import Path

_HELD = Path("/proc/net/unix")


def take(instance: str, address: str) -> socket.socket:
    """Take the lock, for as long as the socket lives. Raises `OSError` if it is held.

    `address` is that of the engine.
    """
    lock = socket.socket(socket.AF_UNIX)
    lock.bind(f"\0{_name(instance, address)}")
    return lock


def is_held(instance: str, address: str) -> bool:
    """Whether a process holds the lock, as far as the kernel shows. Does not touch it."""
    try:
        held = _HELD.read_text(errors="replace")
    except OSError:
        return False
    return any(line.endswith(f" @{_name(instance, address)}") for line in held.splitlines())


def _name(instance: str, address: str) -> str:
    return f"area-supervisor/{hashlib.sha256(f'{instance}@{address}'.encode()).hexdigest()}"
