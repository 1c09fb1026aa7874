"""Connections of browsers, which may not hold a place without using it."""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# For the head of a request, and for a client to read on (seconds).
_HEAD, _STALLED = 10.0, 60.0
# Of a request without its body (bytes): the parser has no limit, and would fill the memory.
_MOST_HEAD = 64 * 2**10


class Connection(HttpToolsProtocol):
    """One that is hung up on if its client does not finish a request, or does not read."""

    idle_since: float | None = None  # waits for a request
    _due: TimerHandle | None = None
    _head = 0  # bytes of a request that are not of its body, so far
    _unsent = 0  # bytes, when it was last seen

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn
        super().connection_made(transport)
        self._make_room()
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._await_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        super().data_received(data)
        if self._head > _MOST_HEAD:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        self._head -= len(body)
        super().on_body(body)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0

    def on_headers_complete(self) -> None:
        self._await_nothing()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and not self.flow.write_paused:
            self._await_request()

    def timeout_keep_alive_handler(self) -> None:
        """Leave it to ours: this one forgets who has begun a request, and hurries slow readers."""

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        self._await_nothing()
        super().resume_writing()
        if self.cycle is not None and self.cycle.response_complete:
            self._await_request()

    def _make_room(self) -> None:
        """At the limit, take the place of the one that has waited for a request the longest."""
        if self.limit_concurrency is None or len(self.connections) < self.limit_concurrency:
            return
        waiting = {
            each.idle_since: each
            for each in self.connections
            if isinstance(each, Connection) and each.idle_since is not None
        }
        if waiting:
            waiting[min(waiting)].give_way()

    def give_way(self) -> None:
        self._await_nothing()
        self.connections.discard(self)  # at once: the next request is counted before its end
        self.transport.abort()

    def _await_request(self) -> None:
        self._await_nothing()
        self.idle_since = self.loop.time()
        self._due = self.loop.call_later(_HEAD, self.transport.close)

    def _await_reading(self) -> None:
        self._await_nothing()
        self._unsent = self.transport.get_write_buffer_size()
        self._due = self.loop.call_later(_STALLED, self._check_reading)

    def _check_reading(self) -> None:
        if self.transport.get_write_buffer_size() < self._unsent:
            self._await_reading()
        else:
            self.transport.abort()

    def _await_nothing(self) -> None:
        self.idle_since = None
        if self._due is not None:
            self._due.cancel()
            self._due = None
