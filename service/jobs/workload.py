"""Makes a job, and its workload, of a request. Pure."""

import secrets
from collections.abc import Mapping, Sequence

from observability.callers import NO_CALLER, Caller
from observability.redaction.redactor import Redactor
from service.engine.name_grammar import NameGrammar
from service.engine.workload_spec import WorkloadSpec
from service.jobs.catalog_keys import Entry
from service.jobs.catalog_secrets import secrets_in
from service.jobs.credentials import auth_file
from service.jobs.labels import labels_of, variables_label
from service.jobs.model import Job, JobSpec
from service.jobs.request_differences import digests_of
from service.jobs.workload_names import workload_name
from service.settings import Settings


def job_of(
    spec: JobSpec,
    entry: Entry,
    traceparent: str | None,
    by: Caller = NO_CALLER,
    *,
    at: float = 0.0,
) -> Job:
    """A new job for a request of a client, made `at` some time."""
    return Job(
        launch_id=secrets.token_hex(8),
        name=spec.name,
        identifier=spec.identifier,
        kind=entry.kind,
        ends=entry.ends_by_itself,
        fingerprint=spec.fingerprint,
        digests=digests_of(spec),
        idempotency_key=spec.idempotency_key,
        redact=Redactor(dict(spec.auth)) if entry.auth == "file" else None,
        traceparent=traceparent,
        launched_by=by,
        created_at=at,
        image=entry.image or "",
        ready_within=entry.ready_within,
        stop_grace=entry.stop_grace,
        time_limit=entry.time_limit,
        restart=entry.restart_policy,
    )


def workload_of(
    job: Job,
    spec: JobSpec,
    entry: Entry,
    settings: Settings,
    *,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    names: NameGrammar,
) -> WorkloadSpec:
    """The workload of a job. `names` is the engine's grammar."""
    assert entry.image is not None
    return WorkloadSpec(
        name=workload_name(job, settings.supervisor_instance, names),
        image=entry.image,
        arguments=arguments,
        environment=environment,
        labels={
            **entry.labels,
            **labels_of(job, settings.supervisor_instance),
            **variables_label(entry),
        },
        network=entry.network or settings.job_network,
        limits=entry.limits,
        placement=entry.placement or (),
        stop_grace=job.grace(settings.job_stop_grace_seconds),
        stop_signal=entry.stop_signal,
        init=entry.init,
        confinement=entry.confinement,
        source=entry.source,
        surroundings=entry.surroundings,
        healthcheck=entry.health,
        redact=Redactor([dict(spec.auth), secrets_in(entry, environment)]),
        secret=auth_file(spec, entry, job.launch_id),
    )
