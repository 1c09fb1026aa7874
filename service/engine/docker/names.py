"""How messages call Docker, and what its containers may be called. Loads nothing of docker-py."""

import re

from service.engine.name_grammar import NameGrammar

DOCKER_TITLE = "Docker Engine"
DOCKER_NAMES = NameGrammar(
    # moby's container names: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
    usable=re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"),
    longest=512,  # names are in events and in messages; Docker itself has no limit
    unclean=re.compile(r"[^a-zA-Z0-9_.-]+"),
    longest_cleaned=100,
    mark=".",
)


def name_aside(name: str, container_id: str) -> str:
    """The name for setting a container aside. No other container has it."""
    return name if is_aside(name, container_id) else f"{name}{_suffix(container_id)}"


def is_aside(name: str, container_id: str) -> bool:
    """Whether the container with this name has been set aside."""
    return name.endswith(_suffix(container_id))


def name_ended(name: str, container_id: str) -> str:
    """The name of a container that has ended and is to be started again under its old name."""
    return f"{name_before(name, container_id)}{_ended(container_id)}"


def has_ended(name: str, container_id: str) -> bool:
    """Whether the container with this name is one whose successor has its old name."""
    return _ended(container_id) in name


def name_before(name: str, container_id: str) -> str:
    """The old name of such a container."""
    return name.removesuffix(_ended(container_id))


def _ended(container_id: str) -> str:
    return f".ended-{container_id[:12]}"


def _suffix(container_id: str) -> str:
    return f".removing-{container_id[:12]}"
