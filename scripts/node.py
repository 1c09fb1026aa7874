"""Installs Node for the tests, and the packages in the lock of the example client."""

import fcntl
import shutil
import subprocess
from pathlib import Path

from scripts import apt
from scripts.progress import PrerequisiteError, step, tail

_ROOT = Path(__file__).resolve().parents[1]
_WANTED = _ROOT / "examples" / "clients"
_FOLDER = _ROOT / ".cache" / "node"
_FILES = ("package.json", "package-lock.json")


def ensure_installed() -> Path:
    """Install missing packages. Return the folder for NODE_PATH. Raises PrerequisiteError."""
    apt.ensure("node", "nodejs")
    apt.ensure("npm", "npm")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_there():
            _install()
    return _FOLDER / "node_modules"


def _is_there() -> bool:
    """Whether an installation of this lock is complete."""
    done = _FOLDER / "installed.json"
    return done.is_file() and done.read_bytes() == (_WANTED / "package-lock.json").read_bytes()


def _install() -> None:
    for name in _FILES:
        shutil.copy(_WANTED / name, _FOLDER)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    with step("Installing the gRPC client for Node"):
        result = subprocess.run(
            command,
            cwd=_FOLDER,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if result.returncode != 0:
        raise PrerequisiteError(f"npm could not install it:\n{tail(result.stdout)}")
    shutil.copy(_WANTED / "package-lock.json", _FOLDER / "installed.json")
