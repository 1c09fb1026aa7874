"""Says which values of the catalogue are secret: for a launch, and from a workload. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from service.jobs.catalog_keys import Entry
from service.jobs.labels import VARIABLES_LABEL

# The length of a value of the catalogue that may be a secret (characters).
_LEAST_SECRET = 8


def secrets_in(entry: Entry, environment: Mapping[str, str]) -> Sequence[str]:
    """Values of the catalogue that may be secret: a job's variables and log options."""
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
