"""Containers that the Engine cannot remove: a file of theirs may not be deleted (EPERM)."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docker.models.containers import Container

from scripts import apt
from scripts.private_engine import PrivateEngine


def kept_file(engine: PrivateEngine, container: Container) -> Path:
    """A file of a container's that the Engine keeps beside its layer."""
    folder = engine.socket.parent / "data" / "containers" / str(container.id)
    return folder / "hostconfig.json"


def folder_of(engine: PrivateEngine, container: Container) -> Path:
    """Where that is: as long as nothing may change in there, it cannot be renamed either."""
    return kept_file(engine, container).parent


def layer_of(container: Container) -> Path:
    """What the container has written, on the Engine's disk."""
    return Path(container.attrs["GraphDriver"]["Data"]["UpperDir"])


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Root may not delete or change it either, until the end of this."""
    apt.ensure("chattr", "e2fsprogs")
    subprocess.run(["chattr", "+i", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(path)], check=True)
