"""Removing a container, so that its name is free, whether or not the Engine can."""

import asyncio
from itertools import islice

from observability.logs import get_logger
from service.engine.base import Engine, Status
from service.errors import EngineError, EngineRefused, EngineTimeout, NoSuchWorkload
from service.jobs.workload import job_fields
from service.support.retry import Backoff

log = get_logger(__name__)

# Seconds. Somebody waits for the name: an Engine that has tried for this long by itself, as Docker
# does for what is busy, is not asked again.
_PAUSES, _TRIES = Backoff(0.1, 0.4), 4
_LONG = 1.0
_TO_SET_ASIDE = 3.0


class Remover:
    """Removes containers, and sets aside those that the Engine cannot remove, if it can do that.

    A file that may not be deleted or a mount that does not end (EPERM, EBUSY) keeps a container for
    ever. It can be renamed all the same, which frees its name, and with that the identifier. The
    janitor goes on trying to remove it (`Workload.aside`).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def remove(self, workload_id: str, *, force: bool = False) -> bool:
        """Free the name of a container; False where it was set aside for that.

        Raises EngineUnavailable, and what the removal has failed with for a live one, which is
        never set aside, and for one whose name cannot be freed either.
        """
        clock = asyncio.get_running_loop().time
        for pause in (*islice(_PAUSES, _TRIES - 1), None):
            began = clock()
            try:
                await self._engine.remove(workload_id, force=force)
            except EngineTimeout as error:
                return not await self._set_aside(workload_id, error)
            except EngineRefused as error:
                if await self._lives(workload_id):
                    raise EngineRefused(error.message) from None  # it is not to be tried again
                if pause is None or clock() - began > _LONG:
                    return not await self._set_aside(workload_id, error)
                await asyncio.sleep(pause)
            else:
                break
        return True

    async def _set_aside(self, workload_id: str, failure: EngineRefused | EngineTimeout) -> bool:
        """Whether it was; it may have gone by now."""
        set_aside = self._engine.capabilities.set_aside
        try:
            async with asyncio.timeout(_TO_SET_ASIDE):
                seen = await self._engine.inspect(workload_id)
                lives = seen.status is Status.LIVE
                name = await set_aside(workload_id) if set_aside and not lives else ""
        except NoSuchWorkload:
            return False
        except TimeoutError:
            raise _final(failure, failure.message) from None
        except (EngineRefused, EngineTimeout) as error:
            told = f"{failure.message}; nor can it be set aside: {error.message}"
            raise _final(failure, told) from None
        if lives or not name:
            raise _final(failure, failure.message)
        log.warning(
            "container.set_aside",
            container_id=workload_id,
            container_name=name,
            error=failure.message,
            **job_fields(seen.labels),
        )
        return True

    async def _lives(self, workload_id: str) -> bool:
        """False also if the Engine refuses to tell: it does not remove a live one either."""
        try:
            return (await self._engine.inspect(workload_id)).status is Status.LIVE
        except (NoSuchWorkload, EngineRefused):
            return False


def _final(failure: EngineRefused | EngineTimeout, message: str) -> EngineError:
    """The failure as one that is not worth another try, which an `EngineFaltered` would be."""
    kind = EngineTimeout if isinstance(failure, EngineTimeout) else EngineRefused
    return kind(message)
