"""Removes a workload, or renames it if the engine cannot remove it: its name is free then."""

import asyncio
from enum import Enum, auto
from itertools import islice

from observability.logs import get_logger
from service.engine.base import Engine
from service.engine.workloads import Status
from service.errors import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    NoSuchWorkload,
    StillRuns,
)
from service.jobs.labels import job_fields
from service.support.retry import Backoff

log = get_logger(__name__)

_PAUSES, _TRIES = Backoff(0.1, 0.4), 4
# A call that took longer than this (seconds) is not repeated, since a request waits for the name:
# the engine has retried by itself, as Docker does for a mount that is busy.
_LONG_CALL = 1.0
_SET_ASIDE_SECONDS = 3.0


class Removal(Enum):
    """How the name of a workload has become free."""

    REMOVED = auto()
    SET_ASIDE = auto()
    GONE = auto()  # somebody else has removed it


class Remover:
    """Removes workloads, and sets aside those that the engine cannot remove.

    A file that may not be deleted, or a mount that cannot be unmounted (EPERM, EBUSY), keeps a
    workload for ever. A rename frees its name all the same, and with that the identifier. The
    janitor goes on trying to remove it (`Workload.aside`).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def remove(self, workload_id: str, *, force: bool = False) -> Removal:
        """Free the name of a workload.

        A live workload is never set aside. Raises EngineUnavailable, StillRuns, and the error of
        the removal if the workload cannot be set aside.
        """
        clock, unsure = asyncio.get_running_loop().time, False
        for pause in (*islice(_PAUSES, _TRIES - 1), None):
            began = clock()
            try:
                removed = await self._engine.remove(workload_id, force=force)
            except EngineTimeout as error:
                return await self._set_aside(workload_id, error)
            except EngineRefused as error:
                unsure |= isinstance(error, EngineFailed)  # it may have been carried out
                if await self._is_live(workload_id):
                    raise StillRuns(error.message) from None  # a retry would not help
                if pause is None or clock() - began > _LONG_CALL:
                    return await self._set_aside(workload_id, error)
                await asyncio.sleep(pause)
            else:
                return Removal.REMOVED if removed or unsure else Removal.GONE
        raise AssertionError("the last try returns or raises")

    async def _set_aside(self, workload_id: str, failure: EngineRefused | EngineTimeout) -> Removal:
        """Set a workload aside, unless it is gone by now: then our removal was carried out."""
        set_aside = self._engine.capabilities.set_aside
        try:
            async with asyncio.timeout(_SET_ASIDE_SECONDS):
                seen = await self._engine.inspect(workload_id)
                live = seen.status is Status.LIVE
                name = await set_aside(workload_id) if set_aside and not live else ""
        except NoSuchWorkload:
            return Removal.REMOVED
        except TimeoutError:
            raise _final(failure, failure.message) from None
        except (EngineRefused, EngineTimeout) as error:
            message = f"{failure.message}; nor can it be set aside: {error.message}"
            raise _final(failure, message) from None
        if live and isinstance(failure, EngineRefused):
            raise StillRuns(failure.message)
        if live or not name:
            raise _final(failure, failure.message)
        log.warning(
            "container.set_aside",
            container_id=workload_id,
            container_name=name,
            error=failure.message,
            **job_fields(seen.labels),
        )
        return Removal.SET_ASIDE

    async def _is_live(self, workload_id: str) -> bool:
        """False also if the inspection is refused; `_set_aside` makes another one."""
        try:
            return (await self._engine.inspect(workload_id)).status is Status.LIVE
        except (NoSuchWorkload, EngineRefused):
            return False


def _final(failure: EngineRefused | EngineTimeout, message: str) -> EngineError:
    """The same error, but never an `EngineFailed`, which a caller would retry."""
    kind = EngineTimeout if isinstance(failure, EngineTimeout) else EngineRefused
    return kind(message)
