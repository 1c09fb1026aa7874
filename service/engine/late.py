"""An engine that is put together while calls wait for it already, and are not refused any more.

What the Docker adapter needs is a fifth of the time that a start takes.
"""

from typing import Any, cast

from service.engine.base import Engine


class LateEngine:
    """Stands for an engine that is named later; until then, only its title is known."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._engine: Engine | None = None

    def name(self, engine: Engine) -> None:
        """Be this engine from now on."""
        self._engine = engine

    def as_engine(self) -> Engine:
        """The same, as its users know it."""
        return cast("Engine", self)

    def __getattr__(self, method: str) -> Any:
        """Once for each method: it is found in here from then on."""
        found = getattr(self._engine, method)
        setattr(self, method, found)
        return found
