"""Why an image was not pulled, from the words in which an Engine passes on a registry's answer.

Neither the status of an Engine's answer nor any of its fields says that: measured with Docker 20.10
and 26.1, and Podman 5.4, on a registry that fails on demand (tests/engine/test_pulls.py). Some
words are from reports of others.
"""

import re

from docker.errors import DockerException
from docker.utils import parse_repository_tag

from observability.escaping import printable
from service.engine.docker.registry_logins import registry_of
from service.errors import (
    EngineError,
    EngineRefused,
    ImageMissing,
    RegistryAway,
    RegistryDenied,
    RegistryLimited,
)

_MOST_SHOWN = 400  # characters: a registry may answer with a page
# In lower case; the first kind that has one of its words in the text counts.
_LIMITED = ("toomanyrequests", "too many requests", "rate limit", "http 429", "status: 429")
_MISSING = (
    "manifest unknown",
    "name unknown",
    "not found",
    "no matching manifest",
    "no match for platform",
    "no image found in manifest list",
    "does not match the specified platform",
    "http 404",
)
_DENIED = (
    "unauthorized",
    "denied",
    "no basic auth credentials",
    "authentication required",
    "authorization failed",
    "incorrect username or password",
    "forbidden",
    "http 401",
    "http 403",
    "status: 401",
    "status: 403",
)
_AWAY = (
    "connection refused",
    "connection reset",
    "connection timed out",
    "no such host",
    "server misbehaving",
    "failure in name resolution",
    "no route to host",
    "network is unreachable",
    "i/o timeout",
    "deadline exceeded",
    "request canceled",
    "handshake timeout",
    "unexpected http status: 5",
    "status: 5",
    "internal server error",
    "bad gateway",
    "service unavailable",
    "gateway timeout",
    "http 50",
    "eof",
)
# The registry has given the layer: what is denied, or not found, is on the Engine's host.
_OF_THE_HOST = ("failed to register layer", "failed to extract layer")
# An address of a registry has the name of the image, and what it asks for has the user.
_ADDRESS = re.compile(r"https?://\S+")
_QUERY = re.compile(r"(https?://[^\s?\"]+)\?[^\s\"]*")
_FULL = "no space left on device"


def pull_error(image: str, platform: str, text: str) -> EngineError:
    """The error of a pull that has failed. The text has no secrets of the login any more."""
    registry, said = _registry(image), _shown(text)
    what = f"{image} for {platform}" if platform else image
    words = _without_names(text, image)
    answer = "" if _has(words, _OF_THE_HOST) else words
    if _has(answer, _LIMITED):
        return RegistryLimited(f"image {what}: {registry} allows no more pulls for now: {said}")
    if _has(answer, _MISSING):
        return ImageMissing(f"image {what}: {registry} does not have it: {said}")
    if _has(answer, _DENIED):
        return RegistryDenied(
            f"image {what}: {registry} does not allow the pull; it may need a login in Docker's"
            f" config.json where the supervisor runs: {said}"
        )
    if _has(words, _AWAY):
        return RegistryAway(f"image {what}: {registry} cannot be reached, or fails: {said}")
    advice = "; the disk of the Engine's host is full" if _FULL in words else ""
    return EngineRefused(f"image {what}: the Docker Engine could not pull it: {said}{advice}")


def _registry(image: str) -> str:
    try:
        return f"the registry {registry_of(image)}"
    except DockerException:
        return "its registry"


def _shown(text: str) -> str:
    """The text on one line, and not too long. The query of an address names the user."""
    line = printable(" ".join(_QUERY.sub(r"\1", text).split()))
    return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…"


def _without_names(text: str, image: str) -> str:
    """The text in lower case without names, which may have any word in them."""
    name = image.partition("@")[0]
    repository, _ = parse_repository_tag(name)
    names = {each for whole in (name, repository) for each in (whole, whole.partition("/")[2])}
    words = _ADDRESS.sub(" ", text)
    for each in sorted(names - {""}, key=len, reverse=True):
        words = re.sub(rf"(?<![\w./-]){re.escape(each)}(?![\w/-])", " ", words)
    return words.lower()


def _has(words: str, any_of: tuple[str, ...]) -> bool:
    return any(each in words for each in any_of)
