"""Asks the Engine for the usage of containers: processor time, memory and processes."""

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from docker.errors import APIError

from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client
from service.engine.docker.inspections import inspection
from service.engine.docker.parsed_fields import timestamp
from service.engine.docker.parsing import Answer, read
from service.engine.output import Usage
from service.engine.workloads import Status
from service.errors import EngineError, NoSuchWorkload

# The number of concurrent requests. They use the threads of kills, which must not wait for them.
_AT_ONCE = 8
_NANOSECONDS = 1e9
# The memory that the kernel would free at once, in versions 1 and 2 of cgroups.
_REUSABLE = ("total_inactive_file", "inactive_file")


class _Machine(Answer):
    MemTotal: int = 0


class _CpuUsage(Answer):
    total_usage: int = 0


class _Cpu(Answer):
    cpu_usage: _CpuUsage = _CpuUsage()


class _Memory(Answer):
    usage: int | None = None
    limit: int | None = None
    stats: dict[str, int] | None = None


class _Processes(Answer):
    current: int | None = None


class _Stats(Answer):
    read: str = ""  # Podman leaves it out of what it says of a container that does not run
    cpu_stats: _Cpu = _Cpu()
    memory_stats: _Memory = _Memory()
    pids_stats: _Processes = _Processes()


class Usages:
    """Asks for any number of containers, a few at a time."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._memory = 0  # of the Engine's machine, once it is known

    async def of(self, container_ids: Sequence[str], *, timeout: float) -> Mapping[str, Usage]:
        """The usage of containers. Raises the `EngineError` if that is not known of any."""
        if not container_ids:
            return {}
        tasks = {each: asyncio.create_task(self._one(each, timeout)) for each in container_ids}
        try:
            await asyncio.wait(tasks.values(), timeout=timeout)
        finally:
            for task in tasks.values():
                task.cancel()
            outcomes = await asyncio.gather(*tasks.values(), return_exceptions=True)
        found, faults = {}, []
        for container_id, outcome in zip(tasks, outcomes, strict=True):
            if isinstance(outcome, Usage):
                found[container_id] = outcome
            elif isinstance(outcome, EngineError) and not isinstance(outcome, NoSuchWorkload):
                faults.append(outcome)
            elif isinstance(outcome, Exception) and not isinstance(outcome, EngineError):
                raise outcome
        if faults and not found:
            raise faults[0]
        return found

    async def _one(self, container_id: str, timeout: float) -> Usage | None:
        async with self._turns:
            if not self._memory:
                about = Call("info", lambda c: read(_Machine, c.info()).MemTotal)
                self._memory = await self._calls.call(about, timeout=timeout)
            memory = self._memory
            ask = Call(
                "stats",
                lambda c: _ask(c, container_id, memory),
                {"container.id": container_id},
            )
            return await self._calls.call(ask, timeout=timeout)


def _ask(client: Client, container_id: str, machine: int) -> Usage | None:
    """See `usage`. Podman fails for a container that exits at that moment."""
    try:
        return usage(client.stats_now(container_id), machine)
    except APIError as error:
        failed = (error.status_code or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
        if not failed or inspection(client.inspect_container(container_id)).status is Status.LIVE:
            raise
        return None


def usage(answer: object, machine: int) -> Usage | None:
    """The usage of a container; None if it does not run. Raises `Unreadable`.

    Docker reports the memory of its machine as the limit of a container that has none.
    """
    found = read(_Stats, answer)
    if not found.read or (at := timestamp(found.read)) is None:
        return None
    memory = found.memory_stats
    limit = memory.limit or 0
    return Usage(
        at,
        found.cpu_stats.cpu_usage.total_usage / _NANOSECONDS,
        _in_use(memory),
        limit if limit < machine else 0,
        found.pids_stats.current or 0,
    )


def _in_use(memory: _Memory) -> int:
    """The memory in use, as `docker stats` shows it."""
    used, stats = memory.usage or 0, memory.stats or {}
    reusable = next((stats[name] for name in _REUSABLE if name in stats), 0)
    return used - reusable if reusable < used else used
