"""Variables that look like settings and that nobody reads: mostly misspelt ones.

An environment holds much that is not for us. So a variable is told of only where its name is nearly
that of a setting, leaves out a word of one, or begins with SUPERVISOR_. Its value is never shown:
it may be a secret.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import cache

from service.app.environment import SERVICE_LINK
from service.settings import Settings

_PREFIX = "SUPERVISOR_"
_SETTINGS = [name.upper() for name in Settings.model_fields]
# The Engine's own. Settings are read in upper and lower case, these only as they stand here.
_DOCKER = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"]
_OURS = [*_SETTINGS, *_DOCKER]
_WITHOUT_PREFIX = {name.removeprefix(_PREFIX): name for name in _OURS}
# A typing error spares the first letter; so few names have to be compared, which takes time.
_BY_LETTER = {name[0]: [other for other in _OURS if other[0] == name[0]] for name in _OURS}

# What of two names has to be alike, as difflib counts: enough for a word that is missing, or, where
# others have many names that begin so, for a letter or two.
_ALIKE, _NEARLY_EQUAL = 0.75, 0.9
_SHARED = ("DOCKER_", "GRPC_", "OTEL_")

_OF_OTHERS = frozenset(
    {
        "GOENV",  # Go's
        "SUPERVISOR_CONTAINER",  # docker-compose.yml's
        # supervisord's, for the processes that it starts
        *("SUPERVISOR_ENABLED", "SUPERVISOR_PROCESS_NAME"),
        *("SUPERVISOR_GROUP_NAME", "SUPERVISOR_SERVER_URL"),
        "SUPERVISOR_TOKEN",  # Home Assistant's, for its add-ons
    }
)
# What Kubernetes sets for each Service, and `docker run --link` for each container.
_LINKED_NAME = re.compile(
    r".+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?|ENV_\w+)"
)
_LINKED_VALUES = {"_PORT": SERVICE_LINK, "_NAME": re.compile(r"/[^/]+/[^/]+")}


def misspelt(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that look like settings and are none, by name. An empty one is unset.

    Each with the setting whose name is nearest, "" where none is near. To be called once the
    `OTEL_*` are settled: it may import OpenTelemetry.
    """
    return {
        variable: nearest
        for variable, value in sorted(environment.items())
        if value and (nearest := _nearest(variable, value)) is not None
    }


def _nearest(variable: str, value: str) -> str | None:
    """The setting that it may stand for, if any; None for what is read, or is somebody else's."""
    name = variable.upper()
    if name in _SETTINGS or variable in _DOCKER or name in _OF_OTHERS or _is_link(name, value):
        return None
    if name.startswith(_PREFIX):
        rest = name.removeprefix(_PREFIX)
        return _WITHOUT_PREFIX.get(_closest(rest, _WITHOUT_PREFIX), _in_full(rest))
    if name.startswith("OTEL_"):
        return None if variable in _otel() else _closest(name, _otel()) or None
    return _closest(name, _BY_LETTER.get(name[:1], ())) or _in_full(name) or None


def _closest(name: str, names: Collection[str]) -> str:
    least = _NEARLY_EQUAL if name.startswith(_SHARED) else _ALIKE
    return next(iter(get_close_matches(name, names, n=1, cutoff=least)), "")


def _in_full(name: str) -> str:
    """The setting that has the first word of a name, and its others: MAX_JOBS leaves one out."""
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
    """The standard variables, as the SDK names them."""
    from opentelemetry import environment_variables as of_the_api
    from opentelemetry.sdk import environment_variables as of_the_sdk

    values = [*vars(of_the_api).values(), *vars(of_the_sdk).values()]
    return frozenset(v for v in values if isinstance(v, str) and re.fullmatch(r"OTEL_\w+", v))
