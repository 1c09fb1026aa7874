"""Containers that belong to no job: which of them count, and what helps."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from service.diagnosis import leftovers
from service.diagnosis.case import Case, Environment
from service.diagnosis.checks import make
from service.engine.workloads import Status, Workload
from service.jobs.labels import SERVES_LABEL
from service.settings import Settings
from tests.support.examined_engine import Engine

_OLD = 3600.0


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_BETWEEN", 0)


def a_container(name: str, status: Status, *, age: float = _OLD, aside: bool = False) -> Workload:
    return Workload(
        id=name, name=name, status=status, labels={}, created_at=time.time() - age, aside=aside
    )


class _Listing(Engine):
    """An engine with these containers, and later with others of them."""

    def __init__(
        self, first: Sequence[Workload], later: Sequence[Workload] | None, *, served: bool
    ) -> None:
        super().__init__()
        self._listings = [first, first if later is None else later]
        self._serving = [a_container("supervisor", Status.LIVE)] if served else []

    def workloads(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        return self._serving if SERVES_LABEL in labels else self._listings.pop(0)


def found(
    *first: Workload,
    later: Sequence[Workload] | None = None,
    served: bool = True,
    **settings: Any,
) -> list[tuple[str, str, str]]:
    """Status, message and help of each finding."""
    chosen = Settings.model_validate({"supervisor_instance": "test-leftovers", **settings})
    engine = _Listing(first, later, served=served)
    case = Case(
        read=lambda: Environment(chosen, [], {}),
        check_catalog=lambda *_: None,
        tls_files=lambda _: {},
        open=lambda _: engine,
        is_supervisor=lambda *_: False,
    )
    case.find_facts()
    made = [each for check in leftovers.CHECKS for each in make(check, case)]
    return [(each.status.value, each.message, each.help) for each in made]


def ok(listed: int, live: int) -> tuple[str, str, str]:
    what = f"{listed} containers of the instance test-leftovers, {live} of them live"
    return "ok", what, ""


def test_what_belongs_to_no_job_is_named_and_what_helps_depends_on_who_serves() -> None:
    orphan = a_container("orphan", Status.CREATED)
    cases: Sequence[tuple[str, Mapping[str, Any]]] = (
        ("the supervisor tries again; its log says why it cannot (janitor.failed)", {}),
        ("the next start of the supervisor removes them", {"served": False}),
        ("ORPHAN_DRY_RUN keeps them; `docker rm` removes them", {"orphan_dry_run": True}),
    )
    for helps, settings in cases:
        expected = "error", "1 containers belong to no job: orphan", helps
        assert [expected, ok(1, 0)] == found(orphan, **settings)


@pytest.mark.parametrize(
    "one",
    [a_container("a", Status.REMOVING), a_container("a", Status.EXITED, aside=True)],
    ids=["removing", "aside"],
)
def test_what_cannot_be_removed_is_told_apart(one: Workload) -> None:
    orphan = a_container("orphan", Status.CREATED)
    stuck, other, _ = found(one, orphan)
    assert ("error", "1 containers cannot be removed: a") == stuck[:2]
    assert ("error", "1 containers belong to no job: orphan") == other[:2]


def test_an_exited_one_is_left_in_production_alone() -> None:
    one = a_container("a", Status.EXITED)
    assert [ok(1, 0)] == found(one, go_env="development")
    assert "1 containers belong to no job: a" == found(one, go_env="production")[0][1]


def test_within_its_grace_nothing_is_left() -> None:
    one = a_container("a", Status.CREATED, age=30)
    assert [ok(1, 0)] == found(one)
    assert 2 == len(found(one, orphan_grace_seconds=10))


def test_what_is_gone_a_moment_later_was_being_removed() -> None:
    one, two = a_container("a", Status.CREATED), a_container("b", Status.CREATED)
    first, _ = found(one, two, later=[two])
    assert "1 containers belong to no job: b" == first[1]
    assert [ok(2, 0)] == found(one, two, later=[])


def test_jobs_without_a_supervisor_are_named_with_what_its_start_does() -> None:
    one = a_container("a", Status.LIVE)
    assert [ok(1, 1)] == found(one)
    for mode, what in (("adopt", "adopts"), ("remove", "ends")):
        told = "warning", "1 jobs run without a supervisor: a"
        (warning, _) = found(one, served=False, supervisor_on_start=mode)
        assert told == warning[:2]
        assert f"the next start of the supervisor {what} them" in warning[2]
