"""Starts containers: creates them, starts them, and removes again what cannot be started."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from observability.logs import get_logger
from observability.redaction.redactor import Redactor
from service.engine.docker import successors
from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client
from service.engine.docker.containers import create, start
from service.engine.docker.host_paths import check_folders
from service.engine.docker.removals import Removals
from service.engine.docker.secret_files import SecretFiles
from service.engine.docker.start_check import StartCheck
from service.engine.docker.surroundings import rotated
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Begun, Inspection
from service.errors import EngineError, EngineFailed, EngineRefused

log = get_logger(__name__)

_SHORT = 10.0  # the time limit of a short call (seconds)
# OpenTelemetry's semantic conventions for containers.
_ID, _NAME, _IMAGE = "container.id", "container.name", "container.image.name"


class Starts:
    """Starts containers, and successors of exited ones."""

    def __init__(
        self,
        calls: Calls,
        reader: TolerantReader,
        *,
        check: StartCheck,
        secret_files: SecretFiles,
        removals: Removals,
        allowed_folders: Sequence[str],
    ) -> None:
        self._calls = calls
        self._reader = reader
        self._check = check
        self._secret_files = secret_files
        self._removals = removals
        self._allowed_folders = allowed_folders
        self.log_driver = ""  # the Engine's default; unknown yet

    async def start(self, spec: WorkloadSpec, *, timeout: float) -> Begun:
        """See `Engine.start`. Two calls, create and start, and a check of the program if needed.

        A file with a secret is written between them.
        """
        spec = rotated(spec, self.log_driver)
        about = {_IMAGE: spec.image, _NAME: spec.name}
        epoch = self._check.epoch  # before the Engine looks the image up
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout

        def create_named(client: Client) -> str:
            client.check(spec)
            check_folders(spec, self._allowed_folders)
            about[_ID] = create(client, spec, self._reader)
            return about[_ID]

        self._secret_files.expect(spec)
        make = Call("create", create_named, about, spec.redact)
        container_id = await self._calls.call(make, timeout=timeout)
        by_name = {_NAME: spec.name, **about}
        begin = Call("start", lambda c: start(c, container_id, spec), by_name, spec.redact)
        async with self._removed_if_refused(container_id):
            left = deadline - clock()
            await self._secret_files.write(container_id, spec, by_name, timeout=left)
            await self._calls.call(begin, timeout=deadline - clock())
            left = deadline - clock()
            await self._check.confirm(container_id, spec, epoch, timeout=left)
        return Begun(container_id)

    async def start_successor(
        self,
        workload_id: str,
        labels: Mapping[str, str],
        *,
        redact: Callable[[Inspection], Redactor],
        timeout: float,
    ) -> Begun:
        """See `Engine.start_successor`."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        about = {_ID: workload_id}
        allowed = self._allowed_folders
        look = Call("inspect", lambda c: successors.look(c, workload_id, labels, allowed), about)
        plan = await self._calls.call(look, timeout=_SHORT)
        free = Call("rename", lambda c: successors.free_name(c, plan), about)
        await self._calls.call(free, timeout=_SHORT)
        about = {_NAME: plan.name, _IMAGE: plan.image}
        scrub = redact(plan.predecessor)
        make = Call(
            "create", lambda c: successors.create(c, plan, scrub, self._reader), about, scrub
        )
        container_id = await self._calls.call(make, timeout=deadline - clock())
        begin = Call(
            "start",
            lambda c: successors.start(c, container_id, plan, scrub),
            {_ID: container_id},
            scrub,
        )
        async with self._removed_if_refused(container_id):
            if plan.has_file:
                left = deadline - clock()
                await self._secret_files.copy(workload_id, container_id, plan.name, timeout=left)
            await self._calls.call(begin, timeout=deadline - clock())
        return Begun(container_id)

    @asynccontextmanager
    async def _removed_if_refused(self, container_id: str) -> AsyncIterator[None]:
        """Remove a container again that the Engine refuses to start."""
        try:
            yield
        except EngineFailed:
            raise  # it may have started
        except EngineRefused:
            try:
                await self._removals.remove(container_id, force=True)
            except EngineError as error:
                log.warning("container.left_behind", container_id=container_id, error=error.message)
            raise
