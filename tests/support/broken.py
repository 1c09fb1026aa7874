"""Images whose program cannot be run, or hardly, each in a way of its own."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import docker

_BUSYBOX = Path("/bin/busybox")


def busybox() -> bytes:
    """A program that is what it is called."""
    return _BUSYBOX.read_bytes()


def elf_for_another_processor() -> bytes:
    """A program for AArch64, which is none of the machines that this is tested on."""
    program = bytearray(busybox())
    program[18:20] = (183).to_bytes(2, "little")
    return bytes(program)


def make(
    client: docker.DockerClient,
    tag: str,
    *changes: str,
    files: Mapping[str, tuple[int, bytes]] | None = None,
    shell: bool = True,
) -> str:
    """An image with busybox, and files by path with mode and content; its name.

    An earlier image of this name loses it, as one does that is built anew.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(_BUSYBOX, "bin/busybox")
        if shell:
            link = tarfile.TarInfo("bin/sh")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for path, (mode, content) in (files or {}).items():
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = mode, len(content)
            tar.addfile(entry, io.BytesIO(content))
    client.api.import_image_from_data(
        archive.getvalue(), tag, "latest", changes=["ENV PATH=/bin", *changes]
    )
    return tag


def entrypoint(*words: str) -> str:
    """What an image is told to run."""
    return f"ENTRYPOINT {json.dumps(words)}"
