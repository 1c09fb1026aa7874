"""Work that nobody waits for, kept from being collected and from failing in silence."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from observability.logs import get_logger
from service.errors import EngineError

log = get_logger(__name__)


class Background:
    """Runs coroutines as tasks. What an Engine's absence ends, the next listing makes good."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Run it, and log what goes wrong under its name."""
        task = asyncio.create_task(self._run(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        try:
            await work
        except EngineError as error:
            log.warning("background.failed", work=name, error=error.message)
        except Exception:
            log.exception("background.crashed", work=name)
