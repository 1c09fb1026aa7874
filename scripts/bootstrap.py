"""Makes the virtual environment. Run by `scripts/setup`, before there is one.

Standard library only. A second run takes a fraction of a second: a stamp in the environment
remembers what it was made from.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from scripts import apt
from scripts.progress import PrerequisiteError, say, step, tail

_ROOT = Path(__file__).resolve().parent.parent
_VENV = _ROOT / ".venv"
_LOCK = _ROOT / "requirements" / "dev.txt"
_STAMP = _VENV / "setup-stamp"
_PIP = (str(_VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")


def main() -> int:
    """Makes or completes the environment. Prints an error in one line."""
    wanted = _fingerprint()
    if _stamped() == wanted:
        say("The virtual environment is up to date.")
        return 0
    try:
        _make_venv()
        _install()
    except PrerequisiteError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    _STAMP.write_text(wanted, encoding="ascii")
    return 0


def _fingerprint() -> str:
    """Changes with the locks, the packaging, the Python and the place of the checkout.

    The place counts because the environment has it written into its scripts.
    """
    digest = hashlib.sha256(f"{sys.version} {_ROOT}".encode())
    for file in (_LOCK, _ROOT / "pyproject.toml"):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _stamped() -> str:
    if not (_VENV / "bin" / "area-supervisor").exists():
        return ""
    return _STAMP.read_text(encoding="ascii") if _STAMP.exists() else ""


def _make_venv() -> None:
    if importlib.util.find_spec("ensurepip") is None:  # Debian packages it separately
        apt.install(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    if _runs_this_python():
        return
    with step(f"Making .venv with Python {sys.version.split()[0]}"):
        _run(sys.executable, "-m", "venv", "--clear", str(_VENV))


def _runs_this_python() -> bool:
    """Whether there is a working environment of this Python, which can be kept."""
    show = "import sys, pip; print(sys.version)"
    try:
        found = subprocess.run([_PIP[0], "-c", show], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return found.stdout.strip() == sys.version.strip()


def _install() -> None:
    """Installs the locked packages, and then the checkout itself."""
    with step("Installing the locked packages (about a minute the first time)"):
        _run(*_PIP, "install", "--require-hashes", "-r", str(_LOCK))
    with step("Installing area-supervisor from this checkout"):
        _run(*_PIP, "install", "--no-deps", "--no-build-isolation", "-e", str(_ROOT))


def _run(*command: str) -> None:
    """Runs a command quietly, with a line now and then to show that it still runs."""
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            _pulse(sum(seen.startswith("Collecting ") for seen in lines), line)
    if process.returncode != 0:
        raise PrerequisiteError(f"`{' '.join(command)}` failed:\n{tail(''.join(lines))}")


def _pulse(count: int, line: str) -> None:
    if line.startswith("Collecting ") and count % 20 == 0:
        say(f"  {count} packages")
    elif count and line.startswith("Installing collected packages"):
        say(f"  {count} packages are here, unpacking them")


if __name__ == "__main__":
    sys.exit(main())
