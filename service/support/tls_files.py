"""Reads the files of a port that speaks TLS, and checks that they fit.

The check is a handshake in memory, with a client that trusts this very certificate. So OpenSSL says
whether the key fits, and whether clients would accept the certificate at this moment.
"""

import os
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from observability.secret_signs import shown_setting
from service.errors import StartError

_CHAIN = (
    "a PEM file with a certificate that is valid now and whose key is RSA, or ECDSA with P-256 or"
    " P-384, followed by those of the authorities in between"
)
_KEY = "a PEM file with the private key of the certificate, without a password"
_AUTHORITIES = "a PEM file with the certificates of authorities, of which one is valid"
# The keys that clients of gRPC accept: with others, handshakes fail (gRPC 1.85). As DER has them in
# a certificate: RSA, ECDSA with P-256, with P-384.
_KEY_TYPES = (
    bytes.fromhex("06092a864886f70d010101"),
    bytes.fromhex("06072a8648ce3d020106082a8648ce3d030107"),
    bytes.fromhex("06072a8648ce3d020106052b81040022"),
)
# OpenSSL's reasons for a certificate that it does not load; others are about the key.
_TOO_WEAK = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")


class TlsFilesError(StartError):
    """A file cannot be read, or does not fit. The message contains nothing of the files."""


class Lifetime(NamedTuple):
    """From when until when a certificate is valid (Unix times)."""

    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a port serves with, in PEM. Times are Unix times."""

    chain: bytes
    key: bytes = field(repr=False)
    client_authorities: bytes | None  # each client has to show a certificate of one of these
    authority: Lifetime | None  # of the one of them that expires first
    not_before: float
    not_after: float
    context: ssl.SSLContext  # for a port that OpenSSL serves; it asks for no client certificate


@dataclass(frozen=True, slots=True)
class TlsFile:
    """A file, and the setting that names it."""

    setting: str
    path: Path

    def __str__(self) -> str:
        return f"{self.setting}={shown_setting(str(self.path))}"

    def read(self, allowed: str) -> bytes:
        """The content of the file. Raises `TlsFilesError`."""
        try:
            if self.path.is_fifo():  # it would block, and can be read only once
                raise self.wrong("is a named pipe", allowed)
            if self.path.is_char_device():  # it may have no end
                raise self.wrong("is a device", allowed)
            return self.path.read_bytes()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise self.wrong(f"cannot be read ({reason})", allowed) from None

    def wrong(self, what: str, allowed: str) -> TlsFilesError:
        """The error that says what is wrong with this file."""
        return TlsFilesError(f"{self}: {what}; allowed is {allowed}")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of one port."""

    chain: TlsFile
    key: TlsFile
    client_authorities: TlsFile | None = None

    @property
    def paths(self) -> list[Path]:
        files = (self.chain, self.key, self.client_authorities)
        return [file.path for file in files if file]

    def read(self) -> Certificates:
        """The certificates, if all files fit at this moment. Raises `TlsFilesError`."""
        chain, key = self.chain.read(_CHAIN), self.key.read(_KEY)
        client = self._client(chain)
        context = self._server(chain, key)
        shown = self._shown_to(client, context)
        authorities, authority = self._read_authorities()
        return Certificates(
            chain=chain,
            key=key,
            client_authorities=authorities,
            authority=authority,
            not_before=_lifetime(shown).begins,
            not_after=_lifetime(shown).ends,
            context=context,
        )

    def _client(self, chain: bytes) -> ssl.SSLContext:
        """A client that trusts this very certificate, whatever its names and its authority."""
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        _trust(client, chain, self.chain, _CHAIN)
        return client

    def _server(self, chain: bytes, key: bytes) -> ssl.SSLContext:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            load_pair(server, chain, key)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                other = f"is not the key of the certificate in {self.chain}"
                raise self.key.wrong(other, _KEY) from None
            if error.reason in _TOO_WEAK:
                raise self.chain.wrong(f"is too weak ({error.reason})", _CHAIN) from None
            raise self.key.wrong("has no private key that can be read", _KEY) from None
        return server

    def _shown_to(self, client: ssl.SSLContext, server: ssl.SSLContext) -> Mapping[str, Any]:
        """The certificate, as a client sees it after a handshake. Raises `TlsFilesError`."""
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        client_side = client.wrap_bio(to_client, to_server)
        server_side = server.wrap_bio(to_server, to_client, server_side=True)
        try:
            for side in (client_side, server_side, client_side):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise self.chain.wrong(error.verify_message, _CHAIN) from None
        except ssl.SSLError as error:
            raise self.chain.wrong(f"cannot be used ({error.reason})", _CHAIN) from None
        shown, raw = client_side.getpeercert(), client_side.getpeercert(binary_form=True)
        assert shown
        assert raw
        if not any(each in raw for each in _KEY_TYPES):
            raise self.chain.wrong("has a key that gRPC does not know", _CHAIN)
        return shown

    def _read_authorities(self) -> tuple[bytes | None, Lifetime | None]:
        """All of them; and of those that have not expired, the one that does so first."""
        if self.client_authorities is None:
            return None, None
        found = self.client_authorities.read(_AUTHORITIES)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _trust(context, found, self.client_authorities, _AUTHORITIES)
        lifetimes = [_lifetime(each) for each in context.get_ca_certs()]
        valid = [each for each in lifetimes if each.ends >= time.time()]
        if lifetimes and not valid:
            raise self.client_authorities.wrong("has expired", _AUTHORITIES)
        return found, min(valid, key=lambda each: each.ends, default=None)


def load_pair(context: ssl.SSLContext, chain: bytes, key: bytes) -> None:
    """Load a certificate with those of its authorities, and its key. Raises `ssl.SSLError`."""
    with _in_memory(chain) as chain_path, _in_memory(key) as key_path:
        context.load_cert_chain(chain_path, key_path, password=_no_password)


def _lifetime(certificate: Mapping[str, Any]) -> Lifetime:
    begins, ends = (certificate[edge] for edge in ("notBefore", "notAfter"))
    return Lifetime(ssl.cert_time_to_seconds(begins), ssl.cert_time_to_seconds(ends))


def _trust(context: ssl.SSLContext, pem: bytes, file: TlsFile, allowed: str) -> None:
    try:
        context.load_verify_locations(cadata=pem.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise file.wrong("has no certificates that can be read", allowed) from None


def _no_password() -> str:
    """Without this, OpenSSL would ask for the password of a key at the terminal."""
    return ""


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """The path of a file in memory: OpenSSL loads certificates only from files.

    The files themselves may have changed since they were read, or be pipes.
    """
    descriptor = os.memfd_create("tls")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
