"""Installs Node for the tests, and packages by their locks: of the example client, of others."""

import fcntl
import shutil
import subprocess
from pathlib import Path

from scripts import apt
from scripts.progress import PrerequisiteError, step, tail

_ROOT = Path(__file__).resolve().parents[1]
CLIENTS = _ROOT / "examples" / "clients"
CONSOLE = _ROOT / "tests" / "console"
_CACHE = _ROOT / ".cache" / "node"
_FILES = ("package.json", "package-lock.json")


def ensure_installed(wanted: Path = CLIENTS) -> Path:
    """Install what a folder's lock has, and return the folder for NODE_PATH.

    Raises PrerequisiteError.
    """
    apt.ensure("node", "nodejs")
    apt.ensure("npm", "npm")
    folder = _CACHE / wanted.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_there(wanted, folder):
            _install(wanted, folder)
    return folder / "node_modules"


def _is_there(wanted: Path, folder: Path) -> bool:
    """Whether an installation of this lock is complete."""
    done = folder / "installed.json"
    return done.is_file() and done.read_bytes() == (wanted / "package-lock.json").read_bytes()


def _install(wanted: Path, folder: Path) -> None:
    for name in _FILES:
        shutil.copy(wanted / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    with step(f"Installing the packages of {wanted.relative_to(_ROOT)} for Node"):
        result = subprocess.run(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if result.returncode != 0:
        raise PrerequisiteError(f"npm could not install them:\n{tail(result.stdout)}")
    shutil.copy(wanted / "package-lock.json", folder / "installed.json")
