"""`make sbom`: writes requirements/sbom.cdx.json, the Python packages of the image (CycloneDX).

It installs the lock as the Dockerfile does, and has cyclonedx-py look at that. This tool has a lock
and an environment of its own.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.progress import step

_ROOT = Path(__file__).resolve().parent.parent
_REQUIREMENTS = _ROOT / "requirements"
_FOLDER = _ROOT / ".cache" / "sbom"
SBOM = _REQUIREMENTS / "sbom.cdx.json"

# What its metadata does not tell; its file LICENSE is this one.
_LICENCES = {"protobuf": "BSD-3-Clause"}


def main() -> None:
    """Write the file."""
    shutil.rmtree(_FOLDER, ignore_errors=True)
    for name in ("runtime", "sbom"):
        with step(f"Installing requirements/{name}.txt"):
            _install(name)
    SBOM.write_text(json.dumps(_finished(_collected()), indent=2) + "\n", encoding="utf-8")


def _install(name: str) -> None:
    _uv("venv", "--python", sys.executable, str(_FOLDER / name))
    lock = str(_REQUIREMENTS / f"{name}.txt")
    _uv("pip", "install", "--python", _program(name, "python"), "--require-hashes", "-r", lock)


def _uv(*arguments: str) -> None:
    subprocess.run([Path(sys.executable).with_name("uv"), "--quiet", *arguments], check=True)


def _program(environment: str, name: str) -> str:
    return str(_FOLDER / environment / "bin" / name)


def _collected() -> dict[str, Any]:
    command = [_program("sbom", "cyclonedx-py"), "environment", "--output-reproducible"]
    command += ["--pyproject", str(_ROOT / "pyproject.toml"), "--mc-type", "application"]
    command.append(_program("runtime", "python"))
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _finished(sbom: dict[str, Any]) -> dict[str, Any]:
    """With the licences that are missing, and without the addresses of the tool."""
    for tool in sbom["metadata"]["tools"]["components"]:
        tool.pop("externalReferences", None)
    for component in sbom["components"]:
        if not component.get("licenses"):
            component["licenses"] = [{"license": {"id": _LICENCES[component["name"]]}}]
    return sbom


def licence_of(component: Mapping[str, Any]) -> str:
    """The licence of a component: an SPDX expression, or SPDX ids, or else names."""
    licences = component["licenses"]
    for key in ("expression", "id", "name"):
        found = [(each.get("license") or each).get(key) for each in licences]
        if any(found):
            return ", ".join(filter(None, found))
    return ""


def licences() -> str:
    """The table of docs/licences.md."""
    components = json.loads(SBOM.read_text(encoding="utf-8"))["components"]
    rows = sorted((c["name"].lower(), c["version"], licence_of(c)) for c in components)
    table = [f"| {name} | {version} | {licence} |" for name, version, licence in rows]
    return "\n".join(["| package | version | licence |", "| --- | --- | --- |", *table])


if __name__ == "__main__":
    main()
