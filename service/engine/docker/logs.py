"""Reads the logs of containers, and of a Swarm's services."""

from collections.abc import AsyncGenerator, Sequence

from docker.errors import APIError

from service.engine.docker.calls import Calls
from service.engine.docker.connection import Connection
from service.engine.docker.containers import is_unreadable_log
from service.engine.docker.error_mapping import translated_errors
from service.engine.docker.log_parser import LogParser
from service.engine.docker.streamed_answer import StreamedAnswer, open_answer
from service.engine.output import UNREADABLE_LOG, Printed
from service.errors import EngineRefused

_OPENING = 10.0  # seconds
_SECOND = 10**9  # nanoseconds


class Logs:
    """Each is read over a connection of its own."""

    def __init__(self, calls: Calls, connection: Connection) -> None:
        self._calls = calls
        self._connection = connection

    async def read(
        self,
        kind: str,
        workload_id: str,
        about: str,
        *,
        follow: bool,
        since: int,
        tail: int | None,
    ) -> AsyncGenerator[Sequence[Printed], None]:
        """See `Engine.logs`. `kind` is `containers` or `services`."""
        path = f"/{kind}/{workload_id}/logs"
        params = {
            "stdout": "1",
            "stderr": "1",
            "timestamps": "1",
            "follow": str(int(follow)),
            "since": f"{since // _SECOND}.{since % _SECOND:09}",
            "tail": "all" if tail is None else str(tail),
        }
        opening = self._open(path, params)
        answer = await self._calls.open("logs", {about: workload_id}, opening, timeout=_OPENING)
        try:
            parser = LogParser()
            with translated_errors("logs", workload_id):
                async for part in answer.parts():
                    if lines := parser.feed(part):
                        yield lines
                    parser.check()
            if lines := parser.rest():
                yield lines
        finally:
            answer.close()

    async def _open(self, path: str, params: dict[str, str]) -> StreamedAnswer:
        try:
            return await open_answer(self._connection, path, params)
        except APIError as error:
            if is_unreadable_log(error):
                raise EngineRefused(UNREADABLE_LOG) from None
            raise
