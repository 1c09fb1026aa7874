"""How messages call Docker, and what its containers may be called. Loads nothing of docker-py."""

import re

from service.engine.names import NameGrammar

DOCKER_TITLE = "Docker Engine"
DOCKER_NAMES = NameGrammar(
    # moby's container names: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
    usable=re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"),
    longest=512,  # a name is in every event and in many messages; Docker itself has no limit
    unclean=re.compile(r"[^a-zA-Z0-9_.-]+"),
    longest_cleaned=100,
    mark=".",
)


def name_aside(name: str, container_id: str) -> str:
    """The name of a container that is set aside; no other container has this name."""
    return name if is_aside(name, container_id) else f"{name}{_suffix(container_id)}"


def is_aside(name: str, container_id: str) -> bool:
    """Whether this is the name of a container that was set aside."""
    return name.endswith(_suffix(container_id))


def _suffix(container_id: str) -> str:
    return f".removing-{container_id[:12]}"
