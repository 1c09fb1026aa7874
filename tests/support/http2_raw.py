"""A client of HTTP/2 that sends what gRPC's own client would refuse to send."""

import asyncio
import struct
from collections.abc import Iterable

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _CONTINUATION = 0, 1, 3, 4, 6, 7, 9
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_FRAME = 16384
_PATIENCE = 30.0


async def call(port: int, path: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The bytes of the answer's messages to an empty request; none if it was refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + _request(path, headers))
        async with asyncio.timeout(_PATIENCE):
            return await _answer(reader, writer)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def _request(path: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    usual = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ]
    block = b"".join(_literal(name) + _literal(value, b"") for name, value in [*usual, *headers])
    parts = [block[start : start + _FRAME] for start in range(0, len(block), _FRAME)]
    kinds = [_HEADERS, *[_CONTINUATION] * (len(parts) - 1)]
    last = len(parts) - 1
    frames = [
        _frame(kind, _END_HEADERS if number == last else 0, 1, part)
        for number, (kind, part) in enumerate(zip(kinds, parts, strict=True))
    ]
    return b"".join(frames) + _frame(_DATA, _END_STREAM, 1, bytes(5))


def _literal(text: bytes, kind: bytes = b"\0") -> bytes:
    """RFC 7541: a string without Huffman's code; for a name, after the kind of the field."""
    return kind + _integer(len(text)) + text


def _integer(number: int) -> bytes:
    if number < 0x7F:
        return bytes([number])
    encoded, number = [0x7F], number - 0x7F
    while number >= 0x80:
        encoded.append(number % 0x80 + 0x80)
        number //= 0x80
    return bytes([*encoded, number])


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + struct.pack(">BBI", kind, flags, stream) + payload


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    messages = b""
    while True:
        try:
            head = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(head[:3]))
        except asyncio.IncompleteReadError:
            return messages
        kind, flags = head[3], head[4]
        if kind == _DATA:
            messages += payload
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            writer.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        if kind in (_RESET, _GOAWAY) or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
            return messages
