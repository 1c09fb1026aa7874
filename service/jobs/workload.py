"""Builds the workload of a job: arguments, name and labels. Reads jobs from labels. Pure."""

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import isfinite

from observability.callers import NO_CALLER, Caller
from observability.escaping import shown
from observability.redaction.redactor import Redactor
from service.engine.name_grammar import NameGrammar
from service.engine.workload_spec import WorkloadSpec
from service.errors import InvalidRequest, TooLarge
from service.jobs.catalog_keys import Entry
from service.jobs.compact_json import compact_json
from service.jobs.credentials import AUTH_VARIABLE, auth_arguments, auth_file
from service.jobs.keys.values import read_duration, write_duration
from service.jobs.model import Job, JobSpec, Kind
from service.jobs.request_differences import digests_of
from service.jobs.restart_policy import (
    NO_RESTARTS,
    Restarts,
    read_policy,
    read_restarts,
    write_policy,
    write_restarts,
)
from service.jobs.validation import RESERVED_PARAMETERS, check_identifier
from service.settings import Settings

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
"""On a supervisor's own container: its instance. Whoever deploys the supervisor sets it."""

DEFAULT_INSTANCE = "default"

# Linux: MAX_ARG_STRLEN, 32 pages, for one argument with its closing NUL (execve(2)).
MAX_ARGUMENT_BYTES = 131_072
# The kernel's limit for all arguments and variables is a quarter of the stack, usually of 8 MiB.
# The environment of the image has to fit in as well.
MAX_TOTAL_BYTES = 1_048_576
_POINTER_BYTES = 8
# The length of a value of the catalogue that may be a secret (characters).
_LEAST_SECRET = 8
# The field of a request that a variable comes from.
_SOURCES = {AUTH_VARIABLE: "auth"}


def arguments_of(spec: JobSpec, entry: Entry, callback: str) -> Sequence[str]:
    """The workload's arguments, in the order that workers rely on."""
    arguments = [entry.first_argument] if entry.first_argument else []
    arguments += ["--target", callback, "--identifier", spec.identifier]
    arguments += auth_arguments(spec, entry)
    for key in sorted(spec.params):
        value = spec.params[key]
        if value is not None:
            arguments += [f"--{key}", value if isinstance(value, str) else compact_json(value)]
    return arguments


def can_run(identifier: str) -> bool:
    """Whether a job may have it. Nothing is to be asked about another, which may be megabytes."""
    try:
        check_identifier(identifier)
    except InvalidRequest:
        return False
    return len(identifier.encode()) < MAX_ARGUMENT_BYTES


def check_size(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Raise `TooLarge` if the init of a container could not execute its program (E2BIG)."""
    entries = [*arguments, *(f"{name}={value}" for name, value in environment.items())]
    fields = [*_fields(arguments), *(_SOURCES.get(name, "environment") for name in environment)]
    sizes = [len(entry.encode()) + 1 for entry in entries]
    for place, (field, size) in enumerate(zip(fields, sizes, strict=True)):
        if size > MAX_ARGUMENT_BYTES:
            what = "an argument" if place < len(arguments) else "a variable"
            raise TooLarge(
                f"{field}: is {size - 1} bytes as {what};"
                f" at most {MAX_ARGUMENT_BYTES - 1} are allowed"
            )
    total = sum(sizes) + _POINTER_BYTES * len(sizes)
    if total > MAX_TOTAL_BYTES:
        raise TooLarge(
            f"identifier, params and auth: are {total} bytes as arguments;"
            f" at most {MAX_TOTAL_BYTES} are allowed together"
        )


def _fields(arguments: Sequence[str]) -> Iterator[str]:
    """The field of the request that each argument came from."""
    first = len(arguments) % 2  # the catalogue's first argument; pairs of --KEY VALUE follow
    yield from ["name"] * first
    for option in arguments[first::2]:
        key = option.removeprefix("--")
        yield from [key if key in RESERVED_PARAMETERS else f"params: {shown(key)}"] * 2


def base_name(identifier: str, instance: str, names: NameGrammar) -> str:
    """The name of an identifier's workload, without the suffix of a reaction or of development.

    This is the identifier, if the grammar allows it. Otherwise the identifier is cleaned and cut,
    and gets a hash. An identifier that looks hashed is hashed again, so no two identifiers share a
    name.
    """
    usable = len(identifier) <= names.longest and names.usable.fullmatch(identifier)
    if usable and instance == DEFAULT_INSTANCE and not names.is_hashed(identifier):
        return identifier
    digest = hashlib.sha256(f"{instance}\0{identifier}".encode()).hexdigest()[:12]
    cleaned = names.unclean.sub("-", identifier)[: names.longest_cleaned].strip("-_.")
    return f"{cleaned or 'job'}{names.mark}{digest}"


def workload_name(job: Job, instance: str, names: NameGrammar) -> str:
    """The name of a job's workload in production."""
    name = base_name(job.identifier, instance, names)
    return f"{name}-{job.launch_id}" if job.kind is Kind.REACTION else name


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


def launch_id_in(labels: Mapping[str, str]) -> str:
    """The launch id in a workload's labels, or ""."""
    return labels.get(LAUNCH_LABEL, "")


def stop_grace_in(labels: Mapping[str, str], default: float) -> float:
    """How long a workload has to stop (seconds), as its labels tell."""
    with suppress(KeyError, ValueError):
        return read_duration(labels[GRACE_LABEL])
    return default


def restart_labels(restarts: Restarts) -> Mapping[str, str]:
    """The labels that a successor has beside those of the workload that it is made from."""
    return {RESTARTS_LABEL: write_restarts(restarts) or ""}


def restarts_in(labels: Mapping[str, str]) -> Restarts:
    """The restarts of a workload's job so far, as its labels tell."""
    with suppress(ValueError):
        return read_restarts(labels.get(RESTARTS_LABEL))
    return NO_RESTARTS


def is_restartable(labels: Mapping[str, str]) -> bool:
    """Whether a workload that has exited may have to be started again."""
    return RESTART_LABEL in labels


def job_fields(labels: Mapping[str, str]) -> Mapping[str, str]:
    """The fields of a log event that name the job of a workload, as far as its labels tell."""
    fields = {"job": NAME_LABEL, "identifier": IDENTIFIER_LABEL}
    return {name: labels[label] for name, label in fields.items() if label in labels}


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


def _created_in(labels: Mapping[str, str]) -> float:
    """When a launch began; 0.0 if it is not told: the workload is about as old."""
    with suppress(ValueError):
        created = float(labels.get(CREATED_LABEL, ""))
        return created if isfinite(created) else 0.0
    return 0.0


def _written(duration: float | None) -> str | None:
    return None if duration is None else write_duration(duration)


def _duration_in(labels: Mapping[str, str], label: str) -> float | None:
    """A duration (seconds). Raises `ValueError` if it cannot be read."""
    return read_duration(labels[label]) if label in labels else None


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
            **_variables_label(entry),
        },
        network=entry.network or settings.job_network,
        limits=entry.limits,
        placement=entry.placement or (),
        stop_grace=job.grace(settings.job_stop_grace_seconds),
        stop_signal=entry.stop_signal,
        init=entry.init,
        allowed_folders=settings.allowed_folders,
        confinement=entry.confinement,
        source=entry.source,
        surroundings=entry.surroundings,
        healthcheck=entry.health,
        redact=Redactor([dict(spec.auth), secrets_in(entry, environment)]),
        secret=auth_file(spec, entry, job.launch_id),
    )


def secrets_in(entry: Entry, environment: Mapping[str, str]) -> Sequence[str]:
    """What the catalogue gives a job that may be secret: in its variables and log options."""
    values = [environment.get(name, "") for name in entry.variable_names]
    values += [value for _, value in entry.log.options] if entry.log else []
    return _secret(values)


def secrets_of(
    labels: Mapping[str, str], environment: Sequence[str], log_options: Sequence[str] = ()
) -> Sequence[str]:
    """Of a workload, what `secrets_in` has of its job. `environment` has NAME=VALUE.

    The other variables are those of its image, which everybody can read.
    """
    names = labels.get(VARIABLES_LABEL, "").split()
    pairs = (each.partition("=") for each in environment) if names else ()
    return _secret([*(value for name, _, value in pairs if name in names), *log_options])


def _secret(values: Iterable[str]) -> Sequence[str]:
    """Words such as `debug` and `true` are too short to be one."""
    return [value for value in values if len(value) >= _LEAST_SECRET]


def _variables_label(entry: Entry) -> Mapping[str, str]:
    names = " ".join(sorted(entry.variable_names))
    return {VARIABLES_LABEL: names} if names else {}


def highest_count(names: Sequence[str], base: str) -> int:
    """The highest count that development has appended to a name, or 0."""
    pattern = re.compile(re.escape(base) + r"-(\d{1,9})")
    counts = (pattern.fullmatch(name) for name in names)
    return max((int(match[1]) for match in counts if match), default=0)
