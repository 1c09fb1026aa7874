"""What the doctor finds in files that operators write, and what works, but perhaps not for long."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from service.access.tokens import hash_line
from service.diagnosis import history_check, process_checks
from service.diagnosis.case import Case, Environment
from service.diagnosis.checks import make
from service.diagnosis.doctor import CHECKS
from service.engine.workloads import Status, Workload
from service.settings import Settings
from tests.support.examined_engine import Engine
from tests.unit.diagnosis.test_leftovers import a_container

_ONE = '[jobs]\nx = { kind = "action", image = "worker:1" }'
_CLIENT = f'[clients.a]\ntokens = ["{hash_line("t")}"]\n'
_INSTANCE = "test-warnings"
Found = list[tuple[str, str, str]]


def _found(
    check: str, directory: Path, catalog: str = _ONE, *, engine: Engine | None = None, **more: Any
) -> Found:
    """Status, subject and message of each finding of a check."""
    path = directory / "jobs.toml"
    path.write_text(catalog)
    settings = {"job_catalog": str(path), "supervisor_instance": _INSTANCE, **more}
    chosen, examined = Settings.model_validate(settings), engine or Engine()
    case = Case(
        read=lambda: Environment(chosen, [], {}),
        check_catalog=lambda *_: None,
        tls_files=lambda _: {},
        open=lambda _: examined,
        is_supervisor=lambda *_: False,
    )
    names = [each.name for each in CHECKS]
    made = [make(each, case) for each in CHECKS[: names.index(check) + 1]]  # those before it, too
    return [(each.status.value, each.subject, each.message) for each in made[-1]]


def test_all_faults_of_a_catalogue_are_found_and_what_needs_it_is_skipped(tmp_path: Path) -> None:
    catalog = '[jobs]\na = {}\nb = { kind = "x" }'
    found = _found("catalogue", tmp_path, catalog)
    assert {"error"} == {status for status, _, _ in found}
    keys = [message.split(": ")[1].partition(" ")[0] for *_, message in found]
    assert ["jobs.a.kind", "jobs.b.kind"] == keys
    ((status, _, message),) = _found("images", tmp_path, catalog)
    assert ("skipped", "not checked, because the catalogue is not in order") == (status, message)


def test_jobs_whose_init_leaves_no_room_and_images_that_move(tmp_path: Path) -> None:
    catalog = f"""{_ONE}
small = {{ kind = "action", image = "worker:1", pids = 1 }}
moving = {{ kind = "action", image = "worker", pull = "always" }}"""

    def found(mode: str) -> list[tuple[str, str]]:
        return [each[:2] for each in _found("catalogue", tmp_path, catalog, go_env=mode)]

    assert [("ok", ""), ("error", "small"), ("warning", "worker")] == found("production")
    assert [("ok", ""), ("error", "small")] == found("development")


def test_faults_and_odd_patterns_of_an_access_file(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"

    def found(text: str) -> Found:
        path.write_text(_CLIENT + text)
        return _found("access", tmp_path, access_file=str(path), bind_address="127.0.0.1")

    assert [
        ("ok", "", f"{path}: 1 clients"),
        ("warning", "", "client a: no job of the catalogue matches none-*"),
    ] == found('role = "backend"\njobs = ["x", "none-*"]')
    ((status, _, message),) = found('role = "king"')
    assert ("error", True) == (status, "clients.a.role: allowed is" in message)


class _Served(Engine):
    """An engine with two supervisors."""

    def workloads(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        del labels
        return [a_container(name, Status.LIVE) for name in ("one", "two")]


def test_several_containers_that_serve_one_instance(tmp_path: Path) -> None:
    assert [
        ("ok", "", f"the instance {_INSTANCE} is served by one, two"),
        ("warning", _INSTANCE, "several containers say that they serve it: one, two"),
    ] == _found("supervisor", tmp_path, engine=_Served())


def test_few_files_and_little_room_for_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_checks, "_FEW_FILES", 2**62)
    ((status, _, message),) = _found("process", tmp_path)
    assert ("warning", True) == (status, "it may open only " in message)
    monkeypatch.setattr(history_check, "_NEARLY_FULL", 2**80)
    file = tmp_path / "history.db"
    ((status, _, message),) = _found("history", tmp_path, history_file=str(file))
    assert ("warning", f"HISTORY_FILE={file}: its disk is nearly full") == (status, message)
