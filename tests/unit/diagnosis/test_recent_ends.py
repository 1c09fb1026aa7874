"""What Diagnose remembers of jobs that have ended badly."""

from observability.redaction.redactor import Redactor
from service.access.clients import ALL_JOBS
from service.app.metric_labels import new_metrics
from service.diagnosis.recent_ends import RecentEnds
from service.jobs.observations import Closed, Started
from service.state.registry import Registry
from tests.support.samples import NAMES, a_job


def test_no_credential_is_remembered() -> None:
    registry = Registry(new_metrics(NAMES, version="1", engine="docker", mode="production"))
    ends = RecentEnds(registry)
    job = a_job(redact=Redactor({"token": "s3cr3t-s3cr3t"}), digests={"auth": 7})
    registry.add(job)
    registry.observe(job.launch_id, Started("c1", 100.0))
    registry.observe(job.launch_id, Closed(101.0, 3))
    [ended] = ends.by_name(ALL_JOBS)["timer"]
    assert (3, None, {}) == (ended.exit_code, ended.redact, ended.digests)
