"""The labels of a job's workload: writes them, and reads jobs from them. Pure."""

from collections.abc import Mapping
from contextlib import suppress
from math import isfinite

from observability.callers import Caller
from service.jobs.catalog_keys import Entry
from service.jobs.keys.values import read_duration, write_duration
from service.jobs.model import Job, Kind
from service.jobs.restart_policy import (
    NO_RESTARTS,
    Restarts,
    read_policy,
    read_restarts,
    write_policy,
    write_restarts,
)

# Without the prefix, a label could hide an attribute of Docker's events.
LABEL_PREFIX = "area.supervisor."
INSTANCE_LABEL = LABEL_PREFIX + "instance"
IDENTIFIER_LABEL = LABEL_PREFIX + "identifier"
NAME_LABEL = LABEL_PREFIX + "job"
KIND_LABEL = LABEL_PREFIX + "kind"
ENDS_LABEL = LABEL_PREFIX + "ends"
LAUNCH_LABEL = LABEL_PREFIX + "launch-id"
TRACE_LABEL = LABEL_PREFIX + "traceparent"
KEY_LABEL = LABEL_PREFIX + "idempotency-key"
CLIENT_LABEL = LABEL_PREFIX + "client"
CREATED_LABEL = LABEL_PREFIX + "created"
READY_LABEL = LABEL_PREFIX + "ready-within"
GRACE_LABEL = LABEL_PREFIX + "stop-grace"
LIMIT_LABEL = LABEL_PREFIX + "time-limit"
RESTART_LABEL = LABEL_PREFIX + "restart"
RESTARTS_LABEL = LABEL_PREFIX + "restarts"
VARIABLES_LABEL = LABEL_PREFIX + "variables"
SERVES_LABEL = LABEL_PREFIX + "serves"
"""On a supervisor's own container: its instance. The operator sets it."""


def labels_of(job: Job, instance: str) -> Mapping[str, str]:
    """The labels of a job's workload: all that a restarted supervisor needs to know of it."""
    labels = {
        INSTANCE_LABEL: instance,
        IDENTIFIER_LABEL: job.identifier,
        NAME_LABEL: job.name,
        KIND_LABEL: job.kind.value,
        ENDS_LABEL: "true" if job.ends else "false",
        LAUNCH_LABEL: job.launch_id,
    }
    optional = {
        TRACE_LABEL: job.traceparent,
        KEY_LABEL: job.idempotency_key,
        CLIENT_LABEL: job.client,
        CREATED_LABEL: f"{job.created_at:.3f}" if job.created_at else None,
        READY_LABEL: _written(job.ready_within),
        GRACE_LABEL: _written(job.stop_grace),
        LIMIT_LABEL: _written(job.time_limit),
        RESTART_LABEL: write_policy(job.restart),
    }
    return labels | {label: value for label, value in optional.items() if value}


def variables_label(entry: Entry) -> Mapping[str, str]:
    """The label with the names of the variables that the catalogue gives a job."""
    names = " ".join(sorted(entry.variable_names))
    return {VARIABLES_LABEL: names} if names else {}


def restart_labels(restarts: Restarts) -> Mapping[str, str]:
    """The labels that a successor has beside those of the workload that it is made from."""
    return {RESTARTS_LABEL: write_restarts(restarts) or ""}


def job_from_labels(labels: Mapping[str, str]) -> Job | None:
    """The job whose workload has these labels; None if they are not complete."""
    if not launch_id_in(labels):
        return None
    try:
        return Job(
            launch_id=labels[LAUNCH_LABEL],
            name=labels[NAME_LABEL],
            identifier=labels[IDENTIFIER_LABEL],
            kind=Kind(labels[KIND_LABEL]),
            ends=labels[ENDS_LABEL] == "true",
            idempotency_key=labels.get(KEY_LABEL, ""),
            traceparent=labels.get(TRACE_LABEL),
            launched_by=Caller(client=labels.get(CLIENT_LABEL, "")),
            created_at=_created_in(labels),
            ready_within=_duration_in(labels, READY_LABEL),
            stop_grace=_duration_in(labels, GRACE_LABEL),
            time_limit=_duration_in(labels, LIMIT_LABEL),
            restart=read_policy(labels.get(RESTART_LABEL)),
            restarts=read_restarts(labels.get(RESTARTS_LABEL)),
        )
    except (KeyError, ValueError):
        return None


def launch_id_in(labels: Mapping[str, str]) -> str:
    """The launch id in a workload's labels, or ""."""
    return labels.get(LAUNCH_LABEL, "")


def stop_grace_in(labels: Mapping[str, str], default: float) -> float:
    """How long a workload has to stop (seconds), by its labels."""
    with suppress(KeyError, ValueError):
        return read_duration(labels[GRACE_LABEL])
    return default


def restarts_in(labels: Mapping[str, str]) -> Restarts:
    """The restarts of a workload's job so far, by its labels."""
    with suppress(ValueError):
        return read_restarts(labels.get(RESTARTS_LABEL))
    return NO_RESTARTS


def is_restartable(labels: Mapping[str, str]) -> bool:
    """Whether a workload that has exited may have to be started again."""
    return RESTART_LABEL in labels


def job_fields(labels: Mapping[str, str]) -> Mapping[str, str]:
    """The fields of a log event that name the job of a workload, as far as its labels say."""
    fields = {"job": NAME_LABEL, "identifier": IDENTIFIER_LABEL}
    return {name: labels[label] for name, label in fields.items() if label in labels}


def _created_in(labels: Mapping[str, str]) -> float:
    """When a launch began; 0.0 if no label says so: the workload is about as old."""
    with suppress(ValueError):
        created = float(labels.get(CREATED_LABEL, ""))
        return created if isfinite(created) else 0.0
    return 0.0


def _written(duration: float | None) -> str | None:
    return None if duration is None else write_duration(duration)


def _duration_in(labels: Mapping[str, str], label: str) -> float | None:
    """A duration (seconds). Raises `ValueError` if it cannot be read."""
    return read_duration(labels[label]) if label in labels else None
