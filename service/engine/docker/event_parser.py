"""Events of containers and images."""

from service.engine.docker.parsed_fields import MaybeLabels, NotEmpty
from service.engine.docker.parsing import Answer, Unreadable, read
from service.engine.events import Change, Event

CHANGES = {
    "create": Change.CREATED,
    "start": Change.STARTED,
    "kill": Change.SIGNALLED,
    "die": Change.EXITED,
    "oom": Change.OUT_OF_MEMORY,
    "destroy": Change.REMOVED,
    "remove": Change.REMOVED,  # Podman's
    "pause": Change.PAUSED,
    "unpause": Change.UNPAUSED,
    "health_status: healthy": Change.HEALTHY,
    "health_status: unhealthy": Change.UNHEALTHY,
}
# After these, a name may stand for another image. Each Engine and each way to build has its own.
IMAGE_ACTIONS = (
    *("tag", "untag", "pull", "load", "import", "delete"),
    *("build", "loadfromarchive", "commit"),  # Podman's; the last is about a container
)
_LONGEST_NUMBER = 10  # digits


class _Actor(Answer):
    ID: NotEmpty
    Attributes: MaybeLabels = None


class _Event(Answer):
    Action: str = ""
    Actor: _Actor | None = None


def changes_images(answer: object) -> bool:
    """Whether an event is about a change of images."""
    if not isinstance(answer, dict):
        return False
    return answer.get("Type") == "image" or answer.get("Action") == "commit"


def event(answer: object) -> Event | None:
    """The event of a container, or None if it is of no interest. Raises `Unreadable`."""
    found = read(_Event, answer)
    change = CHANGES.get(found.Action)
    if change is None:
        return None
    if found.Actor is None:
        raise Unreadable("Actor: is missing")
    labels = found.Actor.Attributes or {}
    code = _number(labels.get("exitCode", "")) if change is Change.EXITED else None
    signal = _number(labels.get("signal", "")) or 0 if change is Change.SIGNALLED else None
    return Event(id=found.Actor.ID, change=change, labels=labels, exit_code=code, signal=signal)


def _number(text: str) -> int | None:
    """A number, or None. A label with an attribute's name hides it, and may have any value."""
    return int(text) if text.isdecimal() and len(text) <= _LONGEST_NUMBER else None
