"""Logs what keeps jobs from starting or calling back, at the start and after changes.

No request waits for these warnings, or is refused because of them.
"""

import asyncio
from collections.abc import Collection

from observability.logs import get_logger
from service.diagnosis.surroundings import SetupWarning, Surroundings
from service.engine.base import Engine
from service.engine.configuration import Offers
from service.errors import EngineError
from service.jobs.catalog import Catalog
from service.settings import Settings

log = get_logger(__name__)


class SetupWarnings:
    """Checks the settings and the engine, and logs each new warning once."""

    def __init__(self, engine: Engine, catalog: Catalog, settings: Settings) -> None:
        self._engine, self._surroundings = engine, Surroundings(catalog, settings)
        self._of_settings: frozenset[SetupWarning] = frozenset()
        self._of_engine: frozenset[SetupWarning] = frozenset()
        self._turn, self._unchecked = asyncio.Lock(), False

    @property
    def known(self) -> Collection[SetupWarning]:
        """What was wrong when it was looked at."""
        return sorted(self._of_settings | self._of_engine)

    def check_settings(self) -> None:
        """Log what is wrong with any engine."""
        self._of_settings = _log_new({*self._surroundings.of_settings()}, self._of_settings)

    async def check_engine(self) -> None:
        """Log what is wrong with this engine. Nothing if it does not answer.

        Of all checks that are asked for during one, a single one is made after it: a catalogue that
        changes again and again would keep Podman, which is slow to describe itself, from launches.
        """
        self._unchecked = True
        if self._turn.locked():
            return
        async with self._turn:
            while self._unchecked:
                self._unchecked = False
                await self._check_engine()

    async def _check_engine(self) -> None:
        try:
            traits = await self._engine.traits()
            asks = self._surroundings.asks_for_offers
            offers = await self._engine.offers() if asks else Offers()
        except EngineError:
            return
        self._of_engine = _log_new({*self._surroundings.of_engine(traits, offers)}, self._of_engine)


def _log_new(
    found: Collection[SetupWarning], known: frozenset[SetupWarning]
) -> frozenset[SetupWarning]:
    """Log what was not known; what is known now."""
    for warning in sorted({*found} - known):
        _log(warning)
    return frozenset(found)


def _log(warning: SetupWarning) -> None:
    log.warning(
        "surroundings.noticed", about=warning.about, meaning=warning.meaning, helps=warning.helps
    )
