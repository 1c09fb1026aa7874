"""The fields that several answers have."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import Field

from service.engine.docker.parsing import Unreadable
from service.engine.workloads import Status

STATUS = {
    "created": Status.CREATED,
    "initialized": Status.CREATED,  # Podman's
    "running": Status.LIVE,
    "paused": Status.LIVE,
    "restarting": Status.LIVE,
    "stopping": Status.LIVE,  # Podman's
    "removing": Status.REMOVING,
    "exited": Status.EXITED,
    "stopped": Status.EXITED,  # Podman's
    "dead": Status.EXITED,
}
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
MaybeLabels = dict[str, str] | None
NotEmpty = Annotated[str, Field(min_length=1)]


def status(state: str) -> Status:
    """The state of a container. Raises `Unreadable`."""
    if state not in STATUS:
        raise Unreadable("the state is unknown")
    return STATUS[state]


def digest(image_id: str) -> str:
    """The digest that an image has as its id; empty for anything else."""
    digest = image_id if image_id.startswith("sha256:") else f"sha256:{image_id}"
    return digest if _DIGEST.fullmatch(digest) else ""


def timestamp(text: str) -> float | None:
    """Seconds since the epoch; None for the Engine's zero time. Raises `Unreadable`."""
    if text.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ArithmeticError, ValueError):
        raise Unreadable("a time is invalid") from None
