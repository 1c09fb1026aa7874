"""Which folders of the host a job may have, and that no way leads to the Engine's socket."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.engine.docker import successors
from service.engine.docker.host_paths import check_binds, check_folders, obstacle
from service.engine.workload_spec import Surroundings, Volume, WorkloadSpec
from service.errors import EngineRefused


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("/srv/data", ["/srv/data"]),
        ("/srv/data/a/b", ["/data", "/srv"]),
        ("/nowhere/that/is", ["/nowhere"]),
    ],
)
def test_a_folder_in_an_allowed_one_may_be_had(folder: str, allowed: list[str]) -> None:
    assert "" == obstacle(folder, allowed)


@pytest.mark.parametrize(
    ("folder", "allowed", "told"),
    [
        ("/srv/data", [], "is not in ALLOWED_HOST_PATHS, which is not set"),
        ("/srv/data", ["/srv/other", "/x"], "is not in ALLOWED_HOST_PATHS, which is /srv/other:/x"),
        ("/srv/database", ["/srv/data"], "is not in ALLOWED_HOST_PATHS"),
        ("/srv", ["/srv/data"], "is not in ALLOWED_HOST_PATHS"),
        ("/run/docker.sock", ["/run"], "is or contains the socket of an engine"),
        ("/var/run/docker.sock", ["/var"], "is or contains the socket of an engine"),
        ("/run", ["/run"], "is or contains the socket of an engine"),
        ("/var/run", ["/var/run"], "contains the socket of an engine"),
        ("/run/containerd", ["/run"], "is or contains the socket of an engine"),
        ("/", ["/"], "is or contains the socket of an engine"),
        ("/proc/1/root", ["/proc"], "is the kernel's"),
        ("/sys", ["/sys"], "is the kernel's"),
        ("/dev/sda", ["/dev"], "is the kernel's"),
    ],
)
def test_any_other_folder_is_refused_with_the_reason(
    folder: str, allowed: list[str], told: str
) -> None:
    assert told in obstacle(folder, allowed)


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An allowed folder, beside one with the socket of the Engine, and one with secrets."""
    for name in ("allowed", "engine", "secrets"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine/docker.sock")
    return tmp_path / "allowed"


def test_the_socket_of_docker_host_is_not_given_away(allowed: Path) -> None:
    everything = [str(allowed.parent)]
    told = "is or contains the socket of an engine"
    for folder in ("", "/engine", "/engine/docker.sock"):
        assert told == obstacle(f"{allowed.parent}{folder}", everything)
    assert "" == obstacle(f"{allowed.parent}/secrets", everything)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("engine", "which is or contains the socket of an engine"),
        ("engine/docker.sock", "which is or contains the socket of an engine"),
        ("", "which is or contains the socket of an engine"),
        ("secrets", "which is not in ALLOWED_HOST_PATHS"),
        ("allowed", ""),
    ],
)
def test_a_link_that_leads_out_is_refused(allowed: Path, target: str, told: str) -> None:
    (allowed / "link").symlink_to(allowed.parent / target)
    for folder in (f"{allowed}/link", f"{allowed}/link/within"):
        reason = obstacle(folder, [str(allowed)])
        if folder.endswith("within") and target in ("engine", "engine/docker.sock", ""):
            assert f"leads to {allowed.parent}" in reason
        else:
            assert told in reason


def test_an_allowed_folder_may_be_a_link_itself(allowed: Path) -> None:
    link = allowed.parent / "link"
    link.symlink_to(allowed)
    assert "" == obstacle(f"{link}/x", [str(link)])
    assert "" == obstacle(f"{allowed}/x", [str(link)])


@pytest.fixture
def closed(allowed: Path) -> Iterator[Path]:
    """A folder in the allowed one that this process may not search, with a link in it."""
    folder = allowed / "closed"
    folder.mkdir()
    (folder / "link").symlink_to(allowed.parent / "engine")
    folder.chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)  # root may search any
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)


def test_a_folder_whose_links_cannot_be_seen_is_refused(allowed: Path, closed: Path) -> None:
    reason = obstacle(f"{closed}/link", [str(allowed)])
    assert "cannot be looked at: Permission denied" == reason


def test_a_launch_looks_again_for_links(allowed: Path) -> None:
    folder = allowed / "folder"
    folder.mkdir()
    spec = WorkloadSpec(
        name="a-1",
        image="x",
        arguments=(),
        surroundings=Surroundings(volumes=(Volume("cache", "/x"), Volume(str(folder), "/y"))),
    )
    check_folders(spec, [str(allowed)])
    folder.rmdir()
    folder.symlink_to(allowed.parent / "engine")
    with pytest.raises(EngineRefused, match=f"volumes: {folder}: leads to .* socket of an engine"):
        check_folders(spec, [str(allowed)])


class _Engine:
    """An Engine that knows of one exited container, with a folder of its host."""

    def __init__(self, folder: Path, runtime: str = "runc") -> None:
        self._mounts = [{"Type": "bind", "Source": str(folder), "Target": "/data"}]
        self._runtime = runtime

    def inspect_to_repeat(self, _: str) -> dict[str, Any]:
        state = {"Status": "exited", "Paused": False, "OOMKilled": False, "ExitCode": 1}
        state |= {"StartedAt": "2026-11-29T04:00:00Z", "FinishedAt": "2026-11-29T04:00:01Z"}
        config = {"Image": "x", "Labels": {}}
        host = {"Mounts": self._mounts, "Runtime": self._runtime}
        names = {"Id": "a" * 64, "Name": "/a-1", "Image": "sha256:x"}
        return {**names, "State": state, "Config": config, "HostConfig": host}

    def info(self) -> dict[str, Any]:
        return {"DefaultRuntime": "runsc"}

    def inspect_image(self, _: str) -> dict[str, Any]:
        return {"Id": "sha256:x", "Config": {}}


def test_a_restart_looks_again_for_links(allowed: Path) -> None:
    folder = allowed / "folder"
    folder.mkdir()
    engine: Any = _Engine(folder)
    assert "x" == successors.look(engine, "a", {}, [str(allowed)]).image
    folder.rmdir()
    folder.symlink_to(allowed.parent / "engine")
    with pytest.raises(EngineRefused, match=f"volumes: {folder}: leads to .* socket of an engine"):
        successors.look(engine, "a", {}, [str(allowed)])
    check_binds([{"Type": "volume", "Source": "cache"}], [])


@pytest.mark.parametrize(("runtime", "asked"), [("runc", "runc"), ("runsc", None)])
def test_a_restart_asks_for_the_same_runtime_unless_it_is_the_engines_default(
    allowed: Path, runtime: str, asked: str | None
) -> None:
    """A proxy may not let through what asks for one."""
    engine: Any = _Engine(allowed, runtime)
    body = successors.look(engine, "a", {}, [str(allowed)]).body
    assert asked == body["HostConfig"].get("Runtime")
