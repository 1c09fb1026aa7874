"""A placeholder for an engine that is still being loaded. Requests already wait for it.

Loading the Docker adapter takes a fifth of the time of a start.
"""

from typing import Any, cast

from service.engine.base import Engine


class EnginePlaceholder:
    """Takes the place of an engine that is set later. Until then, only its title is known."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._engine: Engine | None = None

    def set(self, engine: Engine) -> None:
        """Delegate to this engine from now on."""
        self._engine = engine

    def as_engine(self) -> Engine:
        """Return self, with the type of an engine."""
        return cast("Engine", self)

    def __getattr__(self, method: str) -> Any:
        """The engine's method. It is kept as an attribute, so this is called once for each."""
        found = getattr(self._engine, method)
        setattr(self, method, found)
        return found
