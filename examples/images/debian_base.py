"""A slim base image with Python, made from Debian's packages.

For machines that reach no image registry. It is never given a name that belongs to somebody
else: `python:3.11` has to stay what its publisher says it is.
"""

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from scripts import apt
from scripts.progress import PrerequisiteError, step, tail

_CACHE = Path(__file__).resolve().parents[2] / ".cache"
PYTHON = "python3,python3-venv,ca-certificates,libstdc++6"  # the last one for grpcio

# Documentation and translations are a third of the files.
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def tarball(packages: str = PYTHON) -> Path:
    """A base with packages, as a file. It is kept: the next engine can import it in a second."""
    suite = own_release()
    recipe = hashlib.sha256(f"{packages} {_LEFT_OUT}".encode()).hexdigest()[:8]
    file = _CACHE / f"base-{suite}-{platform.machine()}-{recipe}.tar"
    if not file.exists():
        _require_mmdebstrap()
        with step(f"Building a base image from the packages of {suite} (about half a minute)"):
            _build(suite, file, packages)
    return file


def own_release() -> str:
    """The release of this machine, because its package sources are for that."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if "VERSION_CODENAME" not in release:
        raise PrerequisiteError(
            "No base image can be pulled, and none can be built on a system that is not "
            "Debian's. Load one on this Engine under the name at the top of the Dockerfile."
        )
    return release["VERSION_CODENAME"]


def _require_mmdebstrap() -> None:
    if os.geteuid() != 0:
        raise PrerequisiteError(
            "No base image can be pulled, and building one needs root. Run this with sudo, or "
            "load one on this Engine under the name at the top of the Dockerfile."
        )
    if shutil.which("mmdebstrap") is None:
        apt.install("mmdebstrap")


def _build(suite: str, file: Path, packages: str) -> None:
    """Builds in another place first, so that an interrupted run leaves no partial image."""
    _CACHE.mkdir(exist_ok=True)
    half = file.with_suffix(f".{os.getpid()}.tar")
    command = ["mmdebstrap", "--mode=root", "--variant=essential", f"--include={packages}"]
    command += [f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT]
    command += [f"--aptopt={setting}" for setting in apt_settings()]
    try:
        result = run(*command, suite, str(half), *_sources(suite))
        if result.returncode != 0:
            raise PrerequisiteError(f"mmdebstrap failed:\n{tail(result.stderr)}")
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)


def _sources(suite: str) -> list[str]:
    """The files with this machine's sources of its release, without those of other vendors."""
    entries = run("apt-get", "indextargets", "--format", "$(SOURCESENTRY)|$(RELEASE)").stdout
    files = {
        entry.rpartition(":")[0]
        for entry, _, release in (line.partition("|") for line in entries.splitlines())
        if release == suite or release.startswith(f"{suite}-")
    }
    return sorted(files)


def apt_settings() -> list[str]:
    """The proxy through which this machine reaches the archive, if any."""
    settings = run("apt-config", "dump", "--no-empty").stdout.splitlines()
    prefixes = ("Acquire::http::", "Acquire::https::")
    return [setting for setting in settings if setting.startswith(prefixes)]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """The output of a command, even if it fails."""
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
