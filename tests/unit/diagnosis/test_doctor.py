"""What a real Engine does not show on demand: other versions, clocks, disks, a lock-out."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from observability.corrected_variables import Correction
from scripts.ports import free_port
from service.app.engines import ENGINES, adapted
from service.diagnosis import deployment
from service.diagnosis.case import Case, Environment
from service.diagnosis.checks import Finding, Status, make
from service.diagnosis.doctor import CHECKS
from service.engine.configuration import Offers, Trait
from service.engine.examiner import Ran
from service.errors import EngineRefused, StartError
from service.settings import Settings
from tests.support.examined_engine import Engine

_NAMES = [check.name for check in CHECKS]
_DF = "Filesystem 1024-blocks Used Available Capacity Mounted on\noverlay {} {} {} 50% /\n"
_GIB = 2**20  # in the blocks of `df`


def _found(
    engine: Engine,
    directory: Path,
    catalog: str = "",
    *,
    in_container: bool = False,
    **settings: Any,
) -> dict[str, list[Finding]]:
    """All findings by check."""
    path = directory / "jobs.toml"
    path.write_text(catalog or '[jobs]\nx = { kind = "action", image = "worker" }')
    chosen = adapted(Settings.model_validate({"job_catalog": str(path), **settings}))
    case = Case(
        read=lambda: Environment(chosen, [Correction("OTEL_X", "1", "", "odd")], {}),
        check_catalog=ENGINES[chosen.supervisor_engine].check,
        tls_files=lambda _: {},
        open=lambda _: engine,
        is_supervisor=lambda *_: False,
        in_container=in_container,
    )
    return {check.name: list(make(check, case)) for check in CHECKS}


def _worst(findings: Sequence[Finding]) -> Finding:
    order = [Status.OK, Status.SKIPPED, Status.WARNING, Status.ERROR]
    return max(findings, key=lambda each: order.index(each.status))


@pytest.mark.parametrize(
    ("product", "version", "words"),
    [
        ("Docker", "20.10.24+dfsg1", "can lock itself out"),
        ("Docker", "20.10.27", ""),
        ("Docker", "19.03.8", "older than any version"),
        ("Docker", "23.0.1", "kills a container at once"),
        ("Docker", "24.0.3", ""),
        ("Docker", "26.1.5+dfsg1", ""),
        ("Docker", "", ""),
        ("Docker", "dev", ""),
        ("Podman", "4.9.3", "older than any version"),
        ("Podman", "5.4.2", ""),
    ],
)
def test_known_faults(tmp_path: Path, product: str, version: str, words: str) -> None:
    found = _found(Engine(product=product, version=version), tmp_path)["engine"]
    warnings = [each for each in found if each.status is Status.WARNING]
    assert bool(words) == bool(warnings)
    assert any(words in each.message for each in found)
    assert all(each.help for each in warnings)


def test_nodes_of_a_swarm_that_are_down(tmp_path: Path) -> None:
    found = _found(Engine(lost_nodes=["node-2", "node-3"]), tmp_path)["engine"]
    assert [("node-2", Status.WARNING), ("node-3", Status.WARNING)] == [
        (each.subject, each.status) for each in found if "is down" in each.message
    ]


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [
        (0.3, Status.OK, "agree"),
        (-4, Status.WARNING, "4.0 s behind ours"),
        (3600, Status.ERROR, "3600.0 s ahead of ours: times of jobs"),
    ],
)
def test_clocks(tmp_path: Path, ahead: float, status: Status, words: str) -> None:
    (found,) = _found(Engine(clock=ahead), tmp_path)["clock"]
    assert (status, True) == (found.status, words in found.message)


def test_a_limit_that_the_host_cannot_enforce(tmp_path: Path) -> None:
    engine = Engine(limits={"memory": False, "cpus": True, "pids": False})
    limited = '[jobs]\nx = { kind = "action", image = "worker", memory = "6m" }'
    found = _worst(_found(engine, tmp_path, limited)["limits"])
    assert (Status.ERROR, "memory") == (found.status, found.subject)
    assert "x run without this limit" in found.message
    (found,) = _found(engine, tmp_path)["limits"]  # which nobody asks for
    assert "can limit cpus" in found.message


def test_a_docker_that_has_locked_itself_out(tmp_path: Path) -> None:
    engine = Engine(version="20.10.24")
    engine.locked_out = True
    (found,) = _found(engine, tmp_path)["networks"]
    assert (Status.ERROR, True) == (found.status, "has locked itself out" in found.message)
    assert "restart Docker" in found.help
    engine = Engine(version="26.1.5")
    engine.locked_out = True
    (found,) = _found(engine, tmp_path)["networks"]
    assert "took too long" in found.message


@pytest.mark.parametrize(
    ("total", "free", "status"),
    [(100, 50, Status.OK), (100, 9, Status.WARNING), (1000, 60, Status.OK), (5, 0, Status.ERROR)],
)
def test_the_disk_as_a_container_sees_it(
    tmp_path: Path, total: int, free: int, status: Status
) -> None:
    engine = Engine()
    engine.ran = Ran(0, _DF.format(total * _GIB, 1, free * _GIB))
    (found,) = _found(engine, tmp_path)["disk"]
    assert (status, True) == (found.status, f"of {total} GiB are free" in found.message)


def test_a_disk_that_cannot_be_seen(tmp_path: Path) -> None:
    (found,) = _found(Engine(), tmp_path)["disk"]
    assert (Status.SKIPPED, True) == (found.status, "df -h /var/lib/docker" in found.message)


@pytest.mark.parametrize(
    ("gib", "inodes", "expected"),
    [
        (0.5, (0, 0), [(Status.ERROR, "0.5 of 100 GiB are free")]),
        (50, (0, 0), [(Status.OK, "50.0 of 100 GiB are free")]),
        (50, (999, 6_000_000), [(Status.OK, "GiB"), (Status.ERROR, "999 of 6000000 inodes")]),
        (50, (299_999, 6_000_000), [(Status.OK, "GiB"), (Status.WARNING, "299999 of 6000000")]),
        (50, (300_000, 6_000_000), [(Status.OK, "GiB")]),
    ],
)
def test_the_disk_of_this_host(
    gib: float,
    inodes: tuple[int, int],
    expected: Sequence[tuple[Status, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine()
    engine.socket = "/var/run/docker.sock"
    disk = SimpleNamespace(f_blocks=100 * 2**20, f_frsize=1024, f_bavail=int(gib * 2**20))
    disk.f_favail, disk.f_files = inodes
    monkeypatch.setattr(deployment.os, "statvfs", lambda _: disk)  # type: ignore[attr-defined]
    found = _found(engine, tmp_path)["disk"]
    assert [status for status, _ in expected] == [each.status for each in found]
    assert all(words in each.message for each, (_, words) in zip(found, expected, strict=True))


def test_the_callback_is_tried_with_the_first_image_that_can(tmp_path: Path) -> None:
    engine = Engine()
    (found,) = _found(engine, tmp_path, grpc_callback_host="[::1]")["callback"]
    assert Status.OK is found.status
    assert ["supervisor", "/bin/sh", "-c"] == list(engine.commands[0][:3])
    assert ["::1", "50050"] == list(engine.commands[0][-2:])
    engine.ran = EngineRefused("exec /bin/sh: no such file")
    (found,) = _found(engine, tmp_path)["callback"]
    assert (Status.SKIPPED, ["supervisor", "supervisor", "worker"]) == (
        found.status,
        [each[0] for each in engine.commands],
    )
    assert "could not be tried from inside: worker: exec /bin/sh" in found.message
    engine.ran = Ran(None, "")
    (found,) = _found(engine, tmp_path)["callback"]
    assert (Status.ERROR, True) == (found.status, "no answer within" in found.message)
    engine.ran = Ran(77, "")
    (found,) = _found(engine, tmp_path)["callback"]
    assert "no program that can connect" in found.message


@pytest.mark.parametrize(
    ("in_container", "status", "words"),
    [
        (False, Status.ERROR, "from this process: Connection refused"),
        (True, Status.SKIPPED, "which is in a container, it is not reached: Connection refused"),
    ],
)
def test_what_a_process_in_a_container_does_not_reach_a_job_might(
    tmp_path: Path, in_container: bool, status: Status, words: str
) -> None:
    engine = Engine()
    engine.socket, engine.ran = "/var/run/docker.sock", EngineRefused("not allowed")
    port = free_port()
    all_found = _found(engine, tmp_path, in_container=in_container, grpc_callback_port=port)
    (found,) = all_found["callback"]
    assert (status, True) == (found.status, words in found.message), found
    assert "no container could try it (worker: not allowed)" in found.message


def test_what_an_engine_is_set_up_for(tmp_path: Path) -> None:
    catalog = '[jobs]\nx = { kind = "action", image = "worker", runtime = "runsc" }'
    offers = Offers(runtimes=frozenset({"runc"}))
    engine = Engine(traits=frozenset({Trait.ROOTLESS}), offers=offers)
    found = _found(engine, tmp_path, catalog)["surroundings"]
    assert ["rootless", "runtime"] == [each.subject for each in found]
    assert {Status.WARNING} == {each.status for each in found}


def test_without_an_order_in_the_settings_the_engine_is_examined_all_the_same() -> None:
    def fail() -> Environment:
        raise StartError("GO_ENV=prod: allowed is production or development")

    engine = Engine()
    case = Case(
        read=fail,
        check_catalog=lambda *_: None,
        tls_files=lambda _: {},
        open=lambda _: engine,
        is_supervisor=lambda *_: False,
    )
    found = {check.name: _worst(make(check, case)).status for check in CHECKS}
    errors = [name for name, status in found.items() if status is Status.ERROR]
    assert ["settings"] == errors
    assert Status.OK is found["engine"]
    assert Status.SKIPPED is found["callback"]


def test_corrected_and_misspelt_variables(tmp_path: Path) -> None:
    first, *_ = _found(Engine(), tmp_path)["settings"]
    assert (Status.WARNING, True) == (first.status, "OTEL_X=1: is not used" in first.message)


def test_the_page_has_each_check() -> None:
    page = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()
    assert [] == [name for name in _NAMES if f"| `{name}` |" not in page]
