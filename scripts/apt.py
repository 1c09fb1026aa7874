"""Installs Debian packages, for programs that pip cannot install.

Standard library only: `scripts/bootstrap.py` uses it before there is a virtual environment.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from scripts.progress import PrerequisiteError, step, tail

_POLICY = Path("/usr/sbin/policy-rc.d")

# Another apt-get may be at work on a machine that has just booted: wait for it instead of failing.
_APT_GET = ("apt-get", "--quiet", "--yes", "-o", "DPkg::Lock::Timeout=120")


def ensure(program: str, package: str) -> None:
    """Installs a package if its program is missing."""
    if shutil.which(program) is None:
        install(package)


def install(*packages: str) -> None:
    """Installs packages without their recommended ones, and without starting services.

    The lists of a fresh machine are empty and those of an old one are stale. Both show as a
    failed install, so the lists are fetched only then.
    """
    names = " ".join(packages)
    _require_root_and_apt(names)
    with step(f"Installing {names} with apt-get"), _no_service_starts():
        if _apt_get("install", *packages).returncode == 0:
            return
        _apt_get("update")
        result = _apt_get("install", *packages)
    if result.returncode != 0:
        raise PrerequisiteError(f"apt-get could not install {names}:\n{tail(result.stdout)}")


def _require_root_and_apt(names: str) -> None:
    if shutil.which("apt-get") is None:
        raise PrerequisiteError(
            f"This needs what Debian packages as: {names}. There is no apt-get here: "
            "install the same with the package manager of this system, and try again."
        )
    if os.geteuid() != 0:
        raise PrerequisiteError(
            f"This needs packages that are not installed. Run: sudo apt-get install {names}"
        )


def _apt_get(command: str, *packages: str) -> subprocess.CompletedProcess[str]:
    options = ("--no-install-recommends",) if command == "install" else ()
    return subprocess.run(
        [*_APT_GET, command, *options, *packages],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Keeps packages from starting their daemons.

    This file is Debian's own way of saying so. Where an administrator has one, theirs stands.
    """
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
