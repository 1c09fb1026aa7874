"""Reads what a connection with TLS needs: authorities, and a certificate of one's own."""

import ssl
from dataclasses import dataclass, field
from typing import Protocol

from observability.secret_signs import shown_setting
from service.client.errors import CommandError, usage
from service.support.text_file import expanded
from service.support.tls_files import load_pair

_CERTIFICATES, _KEY = "a PEM file with certificates", "a PEM file with the key of the certificate"


class Given(Protocol):
    """A path, and where it is from."""

    @property
    def text(self) -> str: ...
    @property
    def origin(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Tls:
    """All in PEM. Without a certificate, the client shows none."""

    authorities: bytes
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


def read_tls(ca: Given | None, cert: Given | None, key: Given | None) -> Tls | None:
    """What was given, or None for a plain connection. Raises `CommandError`."""
    for one, other, name in ((cert, ca, "--ca"), (cert, key, "--key"), (key, cert, "--cert")):
        if one and not other:
            raise usage(f"{one.origin}: needs {name}, too")
    if ca is None:
        return None
    authorities = _read_authorities(ca)
    return Tls(authorities, *_read_pair(cert, key)) if cert and key else Tls(authorities)


# Both refuse what gRPC would only call a handshake that has failed.


def _read_authorities(ca: Given) -> bytes:
    authorities = _read(ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=authorities.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise _wrong(ca, "has no certificate that can be read", _CERTIFICATES) from None
    return authorities


def _read_pair(cert: Given, key: Given) -> tuple[bytes, bytes]:
    """A certificate and its key. They are read once: they may come through pipes."""
    pair = _read(cert), _read(key)
    try:
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), *pair)
    except ssl.SSLError:
        fits = f"is not the key of {shown_setting(cert.text)}, or one of both cannot be read"
        raise _wrong(key, fits, f"{_KEY}, without a password") from None
    return pair


def _read(file: Given) -> bytes:
    try:
        return expanded(file.text).read_bytes()
    except OSError as error:
        raise _wrong(file, f"cannot be read ({error.strerror})", "a PEM file") from None


def _wrong(file: Given, what: str, allowed: str) -> CommandError:
    return usage(f"{file.origin}: {shown_setting(file.text)}: {what}; allowed is {allowed}")
