"""A long answer of the Engine, read on the event loop: it needs no thread, however long it takes.

A slow reader slows the Engine down, since no more is read ahead than a few hundred kB. The
connection is closed when the reader stops.
"""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from http.client import BadStatusLine
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

from docker.tls import TLSConfig
from docker.utils import parse_host
from httptools import HttpParserError, HttpParserUpgrade

from service.engine.docker.client import raise_for_status
from service.engine.docker.connection import Connection
from service.engine.docker.unix_socket import Answer, message_of, response_of

_READ_BYTES = 64 * 1024
_MOST_OF_AN_ERROR = 1024 * 1024
_UNIX = "http+unix://"


class StreamedAnswer:
    """An answer whose beginning has been read."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = Answer()

    async def begin(self, target: str, headers: Mapping[str, str]) -> None:
        """Ask, and read what comes before the body. Raises `APIError`."""
        self._writer.write(message_of("GET", target, headers, None))
        while not self._answer.begun:
            await self._read()
        if self._answer.status != 200:  # noqa: PLR2004 - an answer with a body of ours
            while not self._answer.ended and len(self._answer.body) < _MOST_OF_AN_ERROR:
                await self._read()
            raise_for_status(response_of(target, self._answer))

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """The body, as it arrives. Raises an `HTTPException` if the connection is lost."""
        while True:
            if part := self._answer.take():
                yield part
            if self._answer.ended:
                return
            await self._read()

    def close(self) -> None:
        """Disconnect at once."""
        self._writer.transport.abort()
        self._answer.drop_parser()

    async def _read(self) -> None:
        try:
            self._answer.feed(await self._reader.read(_READ_BYTES))
        except (HttpParserError, HttpParserUpgrade) as error:
            raise BadStatusLine(str(error)) from None


async def open_answer(
    connection: Connection, path: str, params: Mapping[str, str]
) -> StreamedAnswer:
    """Ask the Engine for something. Raises `APIError`, `OSError` and `HTTPException`."""
    url = str(parse_host(connection.url, tls=connection.tls is not None))
    headers = dict(connection.headers)
    if url.startswith(_UNIX):
        prefix = ""
        streams = await asyncio.open_unix_connection(url.removeprefix(_UNIX))
    else:
        parts = urlsplit(url)
        prefix = parts.path.rstrip("/")
        headers |= {"Host": parts.netloc.rpartition("@")[2], **_login(parts)}
        context = _tls(connection.tls) if connection.tls else None
        streams = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
    answer = StreamedAnswer(*streams)
    try:
        await answer.begin(f"{prefix}{path}?{urlencode(params)}", headers)
    except BaseException:
        answer.close()
        raise
    return answer


def _login(url: SplitResult) -> Mapping[str, str]:
    if url.username is None:
        return {}
    login = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}


def _tls(config: TLSConfig) -> ssl.SSLContext:
    """As docker-py has `requests` do it."""
    context = ssl.create_default_context(cafile=config.ca_cert or None)
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.cert:
        context.load_cert_chain(*config.cert)
    return context
