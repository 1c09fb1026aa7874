"""A gRPC call written by hand: with what no client library would send."""

import socket
from collections.abc import Sequence
from contextlib import suppress

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY = 0, 1, 3, 4, 7
_END_STREAM, _END_HEADERS = 1, 4
_USUAL = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"localhost"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
)


def call(port: int, path: str, message: bytes, *metadata: tuple[bytes, bytes]) -> None:
    """Call a method at a port of the loopback; return when it has got its answer, whichever."""
    fields = (*_USUAL, (b":path", path.encode()), *metadata)
    pseudo_first = sorted(fields, key=lambda field: not field[0].startswith(b":"))
    body = b"\0" + len(message).to_bytes(4, "big") + message
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, 1, _packed(pseudo_first))
            + _frame(_DATA, _END_STREAM, 1, body)
        )
        with suppress(EOFError):
            while not _ends(*_next(line)):
                pass


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def _packed(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """HPACK (RFC 7541, 6.2.2): each as a literal with a new name, and not compressed."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: bytes) -> bytes:
    return _integer(len(text)) + text


def _integer(number: int) -> bytes:
    """RFC 7541, 5.1, with a prefix of seven bits."""
    if number < 127:
        return bytes([number])
    number, octets = number - 127, b"\x7f"
    while number >= 128:
        octets += bytes([number % 128 + 128])
        number //= 128
    return octets + bytes([number])


def _next(line: socket.socket) -> tuple[int, int]:
    """The kind and the flags of the next frame."""
    head = _exactly(line, 9)
    _exactly(line, int.from_bytes(head[:3], "big"))
    return head[3], head[4]


def _exactly(line: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        if not (more := line.recv(size - len(received))):
            raise EOFError
        received += more
    return received


def _ends(kind: int, flags: int) -> bool:
    return kind in (_RESET, _GOAWAY) or (kind == _HEADERS and bool(flags & _END_STREAM))
