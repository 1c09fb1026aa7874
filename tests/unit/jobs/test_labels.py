import pytest

from observability.callers import Caller
from service.jobs.labels import LABEL_PREFIX, job_from_labels, labels_of
from service.jobs.model import Job, Kind
from tests.support.samples import a_job

_BY = Caller("10.0.0.1:5000", "grpc-node-js", "backend")
_CREATED = 1_700_000_000.25


@pytest.mark.parametrize(
    "job",
    [
        a_job(),
        a_job(traceparent="00-aa-bb-01"),
        a_job(identifier="é\u2028 =,", ends=True),
        a_job(kind=Kind.REACTION, name="mail", ends=True),
    ],
)
def test_a_job_is_read_back_from_its_labels(job: Job) -> None:
    assert job == job_from_labels(labels_of(job, "default"))


def test_labels_carry_a_prefix_of_their_own() -> None:
    labels = labels_of(a_job(traceparent="00-aa-bb-01"), "default")
    assert all(key.startswith(LABEL_PREFIX) for key in labels)
    assert "area.supervisor." == LABEL_PREFIX


def test_labels_say_all_that_a_restarted_supervisor_must_know() -> None:
    assert {
        "area.supervisor.instance": "demo",
        "area.supervisor.identifier": "timer-1",
        "area.supervisor.job": "timer",
        "area.supervisor.kind": "action",
        "area.supervisor.ends": "false",
        "area.supervisor.launch-id": "0123456789abcdef",
        "area.supervisor.traceparent": "00-aa-bb-01",
        "area.supervisor.client": "backend",
        "area.supervisor.created": "1700000000.250",
    } == labels_of(a_job(traceparent="00-aa-bb-01", launched_by=_BY, created_at=_CREATED), "demo")


@pytest.mark.parametrize("optional", ["traceparent", "client", "idempotency-key", "created"])
def test_what_is_not_known_of_a_launch_has_no_label(optional: str) -> None:
    assert LABEL_PREFIX + optional not in labels_of(a_job(), "demo")


def test_who_has_launched_it_and_when_is_read_back() -> None:
    job = job_from_labels(labels_of(a_job(launched_by=_BY, created_at=_CREATED), "default"))
    assert job
    assert ("backend", Caller(client="backend"), _CREATED) == (
        job.client,
        job.launched_by,
        job.created_at,
    )


@pytest.mark.parametrize("label", ["", "yesterday", "nan", "inf"])
def test_a_time_that_cannot_be_read_is_not_known(label: str) -> None:
    labels = labels_of(a_job(created_at=_CREATED), "default")
    job = job_from_labels({**labels, "area.supervisor.created": label})
    assert job
    assert 0.0 == job.created_at


@pytest.mark.parametrize("missing", ["identifier", "job", "kind", "ends", "launch-id"])
def test_incomplete_labels_are_no_job(missing: str) -> None:
    labels = dict(labels_of(a_job(), "default"))
    del labels[LABEL_PREFIX + missing]
    assert job_from_labels(labels) is None


def test_labels_of_an_unknown_kind_are_no_job() -> None:
    labels = dict(labels_of(a_job(), "default")) | {LABEL_PREFIX + "kind": "other"}
    assert job_from_labels(labels) is None
