"""The list of the image's packages has what the lock has, for the system of the image."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.sbom import SBOM, licence_of

_ROOT = Path(__file__).parents[2]
_LOCK = (_ROOT / "requirements" / "runtime.txt").read_text()
_COMPONENTS = json.loads(SBOM.read_text())["components"]
_DEBIAN_12 = {
    "implementation_name": "cpython",
    "implementation_version": "3.11.2",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "python_full_version": "3.11.2",
    "python_version": "3.11",
    "sys_platform": "linux",
}
# Those that let us hand the image on. MPL-2.0 asks for the source of changed files; we change none.
_ALLOWED = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MPL-2.0",
    "PSF-2.0",
}


def _locked() -> dict[str, str]:
    """Names and versions of what pip installs from the lock in the image."""
    lines = re.findall(r"^([a-z][^\\\n]*==[^\\\n]*?) *\\$", _LOCK, re.MULTILINE)
    wanted = [Requirement(line) for line in lines]
    assert len(wanted) > 30
    return {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for each in wanted
        if each.marker is None or each.marker.evaluate(_DEBIAN_12)
    }


def test_the_sbom_has_the_packages_of_the_lock_and_no_other() -> None:
    listed = {canonicalize_name(c["name"]): c["version"] for c in _COMPONENTS}
    assert _locked() == listed, "make sbom writes it"
    urls = {c["purl"] for c in _COMPONENTS}
    assert {f"pkg:pypi/{name}@{version}" for name, version in _locked().items()} == urls


def test_the_sbom_is_of_this_package() -> None:
    sbom = json.loads(SBOM.read_text())
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    about = sbom["metadata"]["component"]
    assert ("CycloneDX", project["name"]) == (sbom["bomFormat"], about["name"])
    roots = next(d for d in sbom["dependencies"] if d["ref"] == about["bom-ref"])["dependsOn"]
    direct = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert direct == {canonicalize_name(ref.partition("==")[0]) for ref in roots}


@pytest.mark.parametrize("component", _COMPONENTS, ids=lambda component: component["name"])
def test_every_package_has_a_licence_that_lets_us_hand_it_on(component: dict[str, str]) -> None:
    ids = re.split(r" AND | OR |, |[()]", licence_of(component))
    assert set(filter(None, ids)) <= _ALLOWED
