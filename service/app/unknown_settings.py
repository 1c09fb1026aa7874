"""Finds variables that look like settings but are none: mostly misspelt ones.

An environment holds many variables of other programs. So a variable is reported only if its name
resembles a setting's, leaves out a word or the prefix of one, or begins as only settings do. Its
value is never shown: it may be a secret.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import cache

from service.app.environment import SERVICE_LINK
from service.settings import Settings

_PREFIX = "SUPERVISOR_"
_SETTINGS = [name.upper() for name in Settings.model_fields]
# Docker's own. Unlike settings, they are read in upper case only.
_DOCKER = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"]
_OURS = [*_SETTINGS, *_DOCKER]
# With these, settings begin, and few variables of other programs, which are listed below.
_PREFIXES = ("JOB_", "LAUNCH_", "MAX_", "ORPHAN_")
_WITHOUT_PREFIX = {name.removeprefix(_PREFIX): name for name in _OURS}
# A typing error rarely changes the first letter. Comparing fewer names saves time.
_BY_LETTER = {name[0]: [other for other in _OURS if other[0] == name[0]] for name in _OURS}

# How alike two names have to be (difflib's ratio): the first allows for a missing word; the second,
# for prefixes that other programs use as well, for a letter or two.
_ALIKE, _NEARLY_EQUAL = 0.75, 0.9
_SHARED = ("DOCKER_", "GRPC_", "OTEL_")

_OF_OTHERS = frozenset(
    {
        # Of CI systems, Kubernetes' Jobs and JobSets, and AWS Glue
        *("JOB_ID", "JOB_NAME", "JOB_BASE_NAME", "JOB_URL", "JOB_DISPLAY_URL", "JOB_TYPE"),
        *("JOB_SPEC", "JOB_STATUS", "JOB_CONTEXT", "JOB_TOKEN", "JOB_RUN_ID"),
        *("JOB_COMPLETION_INDEX", "JOB_INDEX", "JOB_GLOBAL_INDEX"),
        # Of web servers and pools of workers
        *("MAX_WORKERS", "MAX_WORKERS_PER_CORE", "MAX_REQUESTS", "MAX_REQUESTS_JITTER"),
        *("MAX_THREADS", "MAX_MEMORY", "MAX_HEAP_SIZE", "MAX_CONCURRENCY"),
        "LAUNCH_EDITOR",  # of web frameworks
        # The last words of some settings, and too common
        *("SERVER_PORT", "DRY_RUN", "TIMEOUT_SECONDS"),
        "GOENV",  # Go's
        *("SUPERVISOR_CONTAINER", "GRAFANA_PORT"),  # docker-compose.yml's
        # supervisord's, set for the processes that it starts
        *("SUPERVISOR_ENABLED", "SUPERVISOR_PROCESS_NAME"),
        *("SUPERVISOR_GROUP_NAME", "SUPERVISOR_SERVER_URL"),
        "SUPERVISOR_TOKEN",  # Home Assistant's, set for its add-ons
    }
)
# Variables that Kubernetes sets for each Service, and `docker run --link` for each container.
_LINKED_NAME = re.compile(
    r".+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?|ENV_\w+)"
)
# The last words of each setting, if there are at least two.
_LAST_WORDS = {rest: name for name in _SETTINGS if "_" in (rest := name.partition("_")[2])}
_LINKED_VALUES = {"_PORT": SERVICE_LINK, "_NAME": re.compile(r"/[^/]+/[^/]+")}


def misspelt(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that look like settings and are none, each with the nearest setting or "".

    Empty variables count as unset. This may import OpenTelemetry, so the `OTEL_*` variables have
    to be settled before.
    """
    return {
        variable: nearest
        for variable, value in sorted(environment.items())
        if value and (nearest := _nearest(variable, value)) is not None
    }


def _nearest(variable: str, value: str) -> str | None:
    """The setting that may be meant, or ""; None for a known variable or another program's."""
    name = variable.upper()
    if name in _SETTINGS or variable in _DOCKER or name in _OF_OTHERS or _is_link(name, value):
        return None
    if name.startswith(_PREFIX):
        rest = name.removeprefix(_PREFIX)
        return _WITHOUT_PREFIX.get(_closest(rest, _WITHOUT_PREFIX), _in_full(rest))
    if name.startswith("OTEL_"):
        return None if variable in _otel() else _closest(name, _otel()) or None
    return _LAST_WORDS.get(name) or _similar(name) or _of_the_same_prefix(name) or None


def _similar(name: str) -> str:
    return _closest(name, _BY_LETTER.get(name[:1], ())) or _in_full(name)


def _of_the_same_prefix(name: str) -> str:
    """The nearest setting with the prefix of a name that begins as only settings do, or ""."""
    prefix = next((each for each in _PREFIXES if name.startswith(each)), None)
    names = [each for each in _SETTINGS if prefix and each.startswith(prefix)]
    return next(iter(get_close_matches(name, names, n=1, cutoff=0)), "")


def _closest(name: str, names: Collection[str]) -> str:
    least = _NEARLY_EQUAL if name.startswith(_SHARED) else _ALIKE
    return next(iter(get_close_matches(name, names, n=1, cutoff=least)), "")


def _in_full(name: str) -> str:
    """The setting with the same first word that has all other words, too, or "".

    So MAX_JOBS, which leaves out a word, stands for MAX_RUNNING_JOBS.
    """
    first, *others = name.split("_")
    if not others or name.startswith(_SHARED):
        return ""
    settings = (each for each in _SETTINGS if each.startswith(f"{first}_"))
    return next((each for each in settings if set(others) <= set(each.split("_"))), "")


def _is_link(name: str, value: str) -> bool:
    pattern = _LINKED_VALUES.get(name[-len("_PORT") :])
    return bool(_LINKED_NAME.fullmatch(name) or (pattern and pattern.fullmatch(value)))


@cache
def _otel() -> frozenset[str]:
    """The names of the standard variables, from the SDK."""
    from opentelemetry import environment_variables as of_the_api
    from opentelemetry.sdk import environment_variables as of_the_sdk

    values = [*vars(of_the_api).values(), *vars(of_the_sdk).values()]
    return frozenset(v for v in values if isinstance(v, str) and re.fullmatch(r"OTEL_\w+", v))
