"""The Engine's event stream, read in a thread of its own.

If nobody reads a stream, the Engine loses its events silently, and slows down every other call. So
an open stream has to be read or closed, even if opening it was given up.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import docker
import orjson

from observability.logs import get_logger
from service.engine.docker.event_parser import CHANGES, IMAGE_ACTIONS, changes_images
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.events import Event
from service.errors import EngineUnavailable
from service.support.process_limits import NO_MORE_THREADS

log = get_logger(__name__)

# The labels are compared here: the Engine would compare those of images, too.
_FILTERS = {"type": ["container", "image"], "event": [*CHANGES, *IMAGE_ACTIONS]}


class EventStream:
    """One connection to the events of containers with certain labels, and of all images."""

    def __init__(self, labels: Mapping[str, str], reader: TolerantReader) -> None:
        self._labels = labels
        self._reader = reader
        self._lock = threading.Lock()
        self._closed = False
        self._client: docker.APIClient | None = None
        self._stream: Any = None

    def open(self, client: docker.APIClient) -> None:
        """Connect. Blocks up to the client's time limit. A caller that gives up has to `close`."""
        try:
            stream = client.events(filters=_FILTERS)
        except BaseException:
            client.close()
            raise
        with self._lock:
            self._client, self._stream = client, stream
            if self._closed:
                self._disconnect()

    def drain(
        self, put: Callable[[Event | None], None], images_changed: Callable[[], None]
    ) -> None:
        """Start a thread that passes each event of a container to `put`, and None at the end.

        It calls `images_changed` when a name may stand for another image. Raises
        `EngineUnavailable` if the process may not have another thread.
        """
        thread = threading.Thread(
            target=self._drain, args=(put, images_changed), name="events", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            raise EngineUnavailable(NO_MORE_THREADS) from None

    def close(self) -> None:
        """Disconnect, now or as soon as `open` has connected."""
        with self._lock:
            self._closed = True
            if self._stream is not None:
                self._disconnect()

    def _disconnect(self) -> None:
        # The Engine may have disconnected already, for which docker-py raises many errors.
        with contextlib.suppress(Exception):
            self._stream.close()
        if self._client is not None:
            self._client.close()

    def _drain(
        self, put: Callable[[Event | None], None], images_changed: Callable[[], None]
    ) -> None:
        """Read until the stream ends, which gives no reason."""
        try:
            # An event is a line. docker-py's own generator reads each one in two parts.
            lines = self._stream._response.iter_lines(chunk_size=None)  # noqa: SLF001
            for line in filter(bytes.strip, lines):
                answer = orjson.loads(line)
                if changes_images(answer):
                    images_changed()
                elif event := self._reader.event(answer, self._labels):
                    put(event)
        except Exception as error:  # noqa: BLE001 - after any error, the watcher connects again
            log.debug("events.ended", error=type(error).__name__)
        finally:
            put(None)
