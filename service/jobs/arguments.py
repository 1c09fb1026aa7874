"""The arguments and variables of a job's workload, and how large they may be. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from observability.escaping import shown
from service.errors import InvalidRequest, TooLarge
from service.jobs.catalog_keys import Entry
from service.jobs.compact_json import compact_json
from service.jobs.credentials import (
    AUTH_VARIABLE,
    auth_arguments,
    auth_environment,
    check_file,
)
from service.jobs.model import JobSpec
from service.jobs.validation import RESERVED_PARAMETERS, check_identifier

# Linux: MAX_ARG_STRLEN, 32 pages, for one argument with its closing NUL (execve(2)).
MAX_ARGUMENT_BYTES = 131_072
# The kernel's limit for all arguments and variables is a quarter of the stack, usually of 8 MiB.
# The environment of the image has to fit in as well.
MAX_TOTAL_BYTES = 1_048_576
_POINTER_BYTES = 8
# The field of a request that a variable comes from.
_SOURCES = {AUTH_VARIABLE: "auth"}


def invocation_of(
    spec: JobSpec, entry: Entry, callback: str, variables: Mapping[str, str]
) -> tuple[Sequence[str], Mapping[str, str]]:
    """The arguments and variables of a job's workload. Raises `TooLarge`.

    `variables` are those that do not come from the request.
    """
    arguments = arguments_of(spec, entry, callback)
    environment = {**variables, **auth_environment(spec, entry)}
    check_size(arguments, environment)
    check_file(spec, entry)
    return arguments, environment


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
    """Whether a job may have this identifier. The engine is not asked about any other."""
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
