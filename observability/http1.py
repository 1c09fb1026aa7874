"""HTTP/1.1 with many clients in one thread: h11 reads and writes it, asyncio carries it.

What a client may take up is bounded: how many there are, what the head of a request may be, and
how long any of them may take to send a request or to receive an answer.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from email.utils import formatdate
from urllib.parse import unquote

import h11

from observability.pages import Answer, Answering, Request, in_words

# Scrapers and probes are few. Where this many are connected, a new one takes the place of the one
# that has been silent for longest.
_AT_ONCE = 64
# For a request to be there, and for an answer to be taken (seconds each).
_PATIENCE = 10.0
# For a client that is refused to stop sending: it would not see the answer otherwise (seconds).
_FAREWELL = 1.0
_HEAD_BYTES = 16 * 1024
_READ_BYTES = 64 * 1024


class Clients:
    """Everybody who is connected."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._connected: set[StreamWriter] = set()
        self._silent: dict[StreamWriter, None] = {}  # who is to ask next, longest first

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer one client until it, or its time, is gone."""
        if not self._make_room():
            writer.transport.abort()
            return
        self._connected.add(writer)
        try:
            await self._converse(_Conversation(reader, writer), writer)
            writer.close()
        except OSError:  # a reset, or a time-out
            writer.transport.abort()
        except BaseException:
            writer.transport.abort()
            raise
        finally:
            self._silent.pop(writer, None)
            self._connected.discard(writer)

    async def _converse(self, conversation: "_Conversation", writer: StreamWriter) -> None:
        while True:
            self._silent[writer] = None
            try:
                request = await conversation.request()
            except h11.RemoteProtocolError as error:
                await conversation.refuse(error)
                return
            finally:
                self._silent.pop(writer, None)
            if request is None:
                return
            if not await conversation.answer(await self._answering(request)):
                return

    def _make_room(self) -> bool:
        if len(self._connected) < _AT_ONCE:
            return True
        if not self._silent:
            return False
        longest = next(iter(self._silent))
        del self._silent[longest]
        self._connected.discard(longest)
        longest.transport.abort()
        return True


class _Conversation:
    """One connection: requests and answers in turn. `OSError`s mean that it is over."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._is_head = False
        writer.transport.set_write_buffer_limits(high=0)  # so that `drain` waits for all of it

    async def request(self) -> Request | None:
        """The next one; None where the client has hung up. Raises `h11.RemoteProtocolError`."""
        self._is_head = False
        async with asyncio.timeout(_PATIENCE):
            request = await self._read()
        if request is None:
            return None
        path, query = _parted(request.target.decode("ascii"))
        headers = {name.decode("ascii"): v.decode("latin-1") for name, v in request.headers}
        return Request(request.method.decode("ascii"), path, query, headers)

    async def _read(self) -> h11.Request | None:
        """A request with its body, which is of no use to anybody here."""
        request = None
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    return request
                self._http.receive_data(await self._reader.read(_READ_BYTES))
            elif isinstance(event, h11.Request):
                request = event
                self._is_head = event.method == b"HEAD"
            elif isinstance(event, h11.EndOfMessage):
                return request
            elif isinstance(event, h11.ConnectionClosed):
                return None

    async def answer(self, answer: Answer) -> bool:
        """Send it. Whether another request may follow."""
        length = ("Content-Length", str(len(answer.body)))
        date = ("Date", formatdate(usegmt=True))
        head = h11.Response(
            status_code=answer.status,
            reason=answer.status.phrase,
            headers=[*answer.headers, length, date],
        )
        body = b"" if self._is_head else answer.body
        parts = (head, h11.Data(data=body), h11.EndOfMessage())
        async with asyncio.timeout(_PATIENCE):
            self._writer.write(b"".join(self._http.send(part) or b"" for part in parts))
            await self._writer.drain()
        if not (self._http.our_state is self._http.their_state is h11.DONE):
            return False
        self._http.start_next_cycle()
        return True

    async def refuse(self, error: h11.RemoteProtocolError) -> None:
        """Say what is wrong with a request that cannot be read."""
        told = in_words(error.error_status_hint, f"not a request: {error}", ("Connection", "close"))
        await self.answer(told)
        self._writer.write_eof()
        async with asyncio.timeout(_FAREWELL):
            while await self._reader.read(_READ_BYTES):
                pass


def _parted(target: str) -> tuple[str, str]:
    """Path and query of a request's target, which may be a whole URL."""
    path, _, query = target.partition("?")
    if not path.startswith("/"):
        path = path.partition("://")[2].partition("/")[2]
    return unquote("/" + path.lstrip("/")), query
