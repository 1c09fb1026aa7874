from service.engine.docker.names import DOCKER_NAMES
from service.jobs.arguments import arguments_of
from service.jobs.catalog_keys import Entry
from service.jobs.model import JobSpec, JsonValue
from service.jobs.workload import workload_of
from service.settings import Settings
from tests.support.samples import a_job


def test_a_workload_has_everything_and_shows_no_secret() -> None:
    keys = {"kind": "action", "image": "supervisor-timer", "memory": "64m", "cpus": 0.5, "pids": 20}
    entry = Entry.model_validate(keys)
    auth: dict[str, JsonValue] = {"token": "hunter2"}
    spec = JobSpec("timer", "timer-1", {"seconds": 3}, auth)
    workload = workload_of(
        a_job(traceparent="00-aa-bb-01"),
        spec,
        entry,
        Settings(job_network="area"),
        arguments=arguments_of(spec, entry, "localhost:50050"),
        environment={"TRACEPARENT": "00-aa-bb-01"},
        names=DOCKER_NAMES,
    )
    assert ("timer-1", "supervisor-timer", "area") == (
        workload.name,
        workload.image,
        workload.network,
    )
    assert (64 * 2**20, 0.5, 20) == (
        workload.limits.memory,
        workload.limits.cpus,
        workload.limits.pids,
    )
    assert "00-aa-bb-01" == workload.labels["area.supervisor.traceparent"]
    assert {"TRACEPARENT": "00-aa-bb-01"} == workload.environment
    assert '{"token":"hunter2"}' in workload.arguments
    assert "token: [redacted]" == workload.redact("token: hunter2")
    assert "hunter2" not in f"{workload!r} {workload.labels} {workload.environment}"
