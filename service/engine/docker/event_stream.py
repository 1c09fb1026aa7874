"""The Engine's event stream, read in a thread of its own, which only ever drains.

An Engine whose events are not read loses them silently, and slows every other call down: so no
stream may be left open that nobody reads, however its opening went.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import docker
import orjson

from observability.logs import get_logger
from service.engine.base import Event
from service.engine.docker.answers import CHANGES
from service.engine.docker.tolerant_reader import Oddities
from service.errors import EngineUnavailable
from service.support.process_limits import NO_MORE_THREADS

log = get_logger(__name__)


class EventStream:
    """One connection to the events of containers with certain labels."""

    def __init__(self, labels: Sequence[str], oddities: Oddities) -> None:
        self._filters = {"type": "container", "event": list(CHANGES), "label": list(labels)}
        self._oddities = oddities
        self._lock = threading.Lock()
        self._closed = False
        self._client: docker.APIClient | None = None
        self._stream: Any = None

    def open(self, client: docker.APIClient) -> None:
        """Connect. Blocks, for as long as the client's time limit is: whoever gives up closes."""
        try:
            stream = client.events(filters=self._filters)
        except BaseException:
            client.close()
            raise
        with self._lock:
            self._client, self._stream = client, stream
            if self._closed:
                self._hang_up()

    def drain(self, put: Callable[[Event | None], None]) -> None:
        """Hand every event to `put`, from a thread, and None at the end.

        Raises `EngineUnavailable` where there may be no such thread.
        """
        thread = threading.Thread(target=self._drain, args=(put,), name="events", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            raise EngineUnavailable(NO_MORE_THREADS) from None

    def close(self) -> None:
        """Hang up, now or as soon as the connection is there."""
        with self._lock:
            self._closed = True
            if self._stream is not None:
                self._hang_up()

    def _hang_up(self) -> None:
        # The other side may have hung up before, and docker-py says so in many ways.
        with contextlib.suppress(Exception):
            self._stream.close()
        if self._client is not None:
            self._client.close()

    def _drain(self, put: Callable[[Event | None], None]) -> None:
        """Read until the stream ends, which it does without saying why."""
        try:
            # An event is a line. docker-py would look for its end itself, and read it in two parts.
            lines = self._stream._response.iter_lines(chunk_size=None)  # noqa: SLF001 - no way else
            for line in filter(bytes.strip, lines):
                if event := self._oddities.event(orjson.loads(line)):  # no JSON is no Engine
                    put(event)
        except Exception as error:  # noqa: BLE001 - whatever ends a stream, the watcher begins anew
            log.debug("events.ended", error=type(error).__name__)
        finally:
            put(None)
