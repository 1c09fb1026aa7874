"""Writes, reads and removes the files with secrets of containers: a call to the Engine for each."""

from collections.abc import Mapping

from service.engine.docker.calls import Call, Calls
from service.engine.docker.secret_volumes import (
    copy_file,
    read_file,
    remove_left_volumes,
    write_file,
)
from service.engine.workload_spec import WorkloadSpec
from service.errors import EngineError, EngineFailed, EngineRefused

_SHORT = 10.0  # the time limit of a call (seconds)
_ID = "container.id"


class SecretFiles:
    """The files of the containers with the labels of `selector`."""

    def __init__(self, calls: Calls, selector: Mapping[str, str]) -> None:
        self._calls = calls
        self._selector = selector
        self._may_be_left = True  # by an earlier run

    def expect(self, spec: WorkloadSpec) -> None:
        """A container of this workload is about to be made, with its volume."""
        self._may_be_left |= spec.secret is not None

    async def write(
        self, container_id: str, spec: WorkloadSpec, about: Mapping[str, str], *, timeout: float
    ) -> None:
        """Write the file of a container before its start. `about` is for the span."""
        if spec.secret is not None:
            write = Call("upload", lambda c: write_file(c, container_id, spec), about, spec.redact)
            await self._calls.call(write, timeout=timeout)

    async def copy(self, source_id: str, target_id: str, name: str, *, timeout: float) -> None:
        """Write the file of a container into its successor, before the start of that one."""
        self._may_be_left = True
        copy = Call("upload", lambda c: copy_file(c, source_id, target_id, name), {_ID: target_id})
        await self._calls.call(copy, timeout=timeout)

    async def read(self, workload_id: str) -> str | None:
        """See `ReadFile`."""
        call = Call("download", lambda c: read_file(c, workload_id), {_ID: workload_id})
        return await self._calls.call(call, timeout=_SHORT)

    async def sweep(self, *, grace: float) -> int:  # noqa: ARG002 - see below
        """See `SweepFiles`. No grace: a volume is in use from the moment when it is there.

        The Engine is only asked while there are volumes of ours, or may be.
        """
        if not self._may_be_left:
            return 0
        self._may_be_left = False
        remove = Call("list", lambda c: remove_left_volumes(c, self._selector))
        try:
            removed, found = await self._calls.call(remove, timeout=_SHORT)
        except EngineError as error:
            # A proxy that lets no such request through has let no file through, either.
            if isinstance(error, EngineRefused) and not isinstance(error, EngineFailed):
                return 0
            self._may_be_left = True
            raise
        self._may_be_left |= found > 0
        return removed
