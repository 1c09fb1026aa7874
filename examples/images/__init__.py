"""Makes the images that the demo and the tests run, without a registry and without the CLI.

What a call creates on the Engine is known, so that `remove` can take away exactly that from an
engine that is not ours. A name is added to the list `made` before there is such an image: an
interruption may come right after the Engine has made it. The base has its own name in a label,
which the Engine hands down to everything that is built on it, to the layers without a name, too.
"""

import contextlib
import io
import os
import queue
import re
import tarfile
import threading
import time
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests

from examples.images import busybox, debian_base
from scripts.progress import say, step, tail

_ROOT = Path(__file__).resolve().parents[2]
_PULL_SILENCE_SECONDS = 8.0
_QUIET_SECONDS = 5.0
_REMOVE_SECONDS = 15.0
_BASE_LABEL = "area.scripts.base"
_COLOR = re.compile(r"\x1b\[[0-9;]*m")  # the Engine colours the stderr of a step

# If a machine trusts additional authorities, these variables tell pip where they are.
_TRUST = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_PASSED_ON = (*_PROXIES, *map(str.lower, _PROXIES), "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")


class BuildError(Exception):
    """An image could not be built; the message ends with the last lines of the output."""


def import_busybox(client: docker.DockerClient, tag: str, made: list[str] | None = None) -> None:
    """A two-megabyte image that can sleep, trap signals, print and fail: what tests launch."""
    busybox.ensure()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(busybox.PROGRAM, "bin/busybox")
        for applet in ("sh", "sleep", "echo", "cat", "env", "kill", "printf", "true", "false"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    repository, _, version = tag.partition(":")
    _note(made, tag)
    client.api.import_image_from_data(
        archive.getvalue(), repository, version or "latest", changes=["ENV PATH=/bin"]
    )


def base_image(
    client: docker.DockerClient, tag: str = "area-supervisor-base", made: list[str] | None = None
) -> str:
    """An image with Python to build on, made under `tag`.

    It is made of the base that the Dockerfile asks for, if this Engine has it or can pull it, and
    of Debian's packages otherwise.
    """
    wanted = _wanted_base()
    if not _has(client, wanted) and not _pull(client, wanted, made):
        wanted = _imported_base(client, f"{tag}-debian", made)
    _note(made, tag)
    _make_own(client, wanted, tag)
    return tag


def build(
    client: docker.DockerClient,
    dockerfile: str,
    tag: str,
    buildargs: Mapping[str, str],
    made: list[str] | None = None,
) -> None:
    """Builds an image from this checkout, on the host's network, and shows each step."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    _note(made, tag)
    with step(f"Building {tag}"):
        output = client.api.build(
            path=str(_ROOT),
            dockerfile=dockerfile,
            tag=tag,
            buildargs={**passed_on, **buildargs},
            network_mode="host",
            rm=True,
            forcerm=True,
            decode=True,
        )
        _follow(output)


def remove(client: docker.DockerClient, made: Iterable[str]) -> None:
    """Removes the images that the functions above have made, unless they are in use.

    If a name is missing, the build was interrupted. The Engine may still be
    working on an image, so this repeats until no image has appeared for a while.
    """
    names = {name if ":" in name else f"{name}:latest" for name in made}
    quiet = 0.0 if names <= _tags(client.api.images()) else _QUIET_SECONDS
    last = begun = time.monotonic()
    while (now := time.monotonic()) < begun + _REMOVE_SECONDS:
        if left := _left(client, names):
            last = now
        elif now >= last + quiet:
            return
        for name in left:
            with contextlib.suppress(docker.errors.APIError):
                client.api.remove_image(name)
        time.sleep(0.1)


def _left(client: docker.DockerClient, names: set[str]) -> list[str]:
    """Our tags, then the untagged images on our base, the latest first."""
    found = client.api.images(all=True)
    untagged = [image for image in found if not _tags([image])]
    ours = [i["Id"] for i in untagged if (i["Labels"] or {}).get(_BASE_LABEL) in names]
    return [*(_tags(found) & names), *ours]


def _tags(found: Iterable[dict[str, Any]]) -> set[str]:
    return {tag for image in found for tag in image["RepoTags"] or ()} - {"<none>:<none>"}


def _note(made: list[str] | None, name: str) -> None:
    if made is not None:
        made.append(name)


def _wanted_base() -> str:
    dockerfile = (_ROOT / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^ARG BASE_IMAGE=(\S+)", dockerfile, re.MULTILINE)
    if found is None:
        raise BuildError("the Dockerfile names no BASE_IMAGE")
    return found[1]


def _has(client: docker.DockerClient, name: str) -> bool:
    try:
        client.images.get(name)
    except docker.errors.ImageNotFound:
        return False
    return True


def _pull(client: docker.DockerClient, name: str, made: list[str] | None) -> bool:
    """Pulls an image. Gives up soon without an answer, because a registry may never answer.

    The Engine reports errors inside the stream, and the stream itself has no timeout.
    """
    say(f"Pulling {name} ...")
    _note(made, name)
    events: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read_pull, args=(client, name, events), daemon=True).start()
    with contextlib.suppress(queue.Empty):
        while (problem := events.get(timeout=_PULL_SILENCE_SECONDS)) is not None:
            if problem:
                break
    if not (pulled := _has(client, name)) and made:
        made.remove(name)
    say(f"Pulling {name}: " + ("done" if pulled else "no registry can be reached"))
    return pulled


def _read_pull(client: docker.DockerClient, name: str, events: "queue.Queue[str | None]") -> None:
    try:
        for event in client.api.pull(name, stream=True, decode=True):
            events.put(event.get("error", ""))
    except (docker.errors.APIError, requests.RequestException) as error:
        events.put(str(error))
    events.put(None)


def _imported_base(client: docker.DockerClient, tag: str, made: list[str] | None) -> str:
    if not _has(client, tag):
        file = debian_base.tarball()
        _note(made, tag)
        with step(f"Importing the base image as {tag}"):
            client.api.import_image_from_file(str(file), tag, "latest")
    return tag


def _make_own(client: docker.DockerClient, base: str, tag: str) -> None:
    """The base with our label, and with this machine's certificates if it has some of its own."""
    inside = "/etc/ssl/host-certificates.crt"
    bundles = {name: os.environ[name] for name in _TRUST if os.environ.get(name)}
    files = [path for path in map(Path, bundles.values()) if path.is_file()]
    dockerfile = f"FROM {base}\nLABEL {_BASE_LABEL}={tag}:latest\n"
    context = {}
    if files:
        settings = " ".join(f"{name}={inside}" for name in bundles)
        dockerfile += f"COPY bundle {inside}\nENV {settings}\n"
        context["bundle"] = files[0].read_bytes()
    packed = _context({"Dockerfile": dockerfile.encode(), **context})
    output = client.api.build(
        fileobj=packed, custom_context=True, tag=tag, rm=True, forcerm=True, decode=True
    )
    _follow(output, quietly=True)


def _context(files: Mapping[str, bytes]) -> io.BytesIO:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    archive.seek(0)
    return archive


def _follow(output: Generator[dict[str, Any]], *, quietly: bool = False) -> None:
    """Shows the steps of a build. One that is left is ended, as the Engine builds on otherwise."""
    text = ""
    with contextlib.closing(output):
        for event in output:
            line = _COLOR.sub("", event.get("stream", "") or event.get("error", ""))
            text += line
            if "error" in event:
                raise BuildError(f"The build failed:\n{tail(text)}")
            if line.startswith("Step ") and not quietly:
                say(f"  {' '.join(line.split())[:90]}")
