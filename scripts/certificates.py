"""Makes authorities and certificates, for the tests and for the demo."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)
# Of a lifetime, in days from now: is valid, was valid, will be valid.
VALID, EXPIRED, NOT_YET = (-1, 30), (-30, -1), (1, 30)


class Pair(NamedTuple):
    """A certificate (with those in between) and its key, in PEM."""

    chain: bytes
    key: bytes

    def write(self, folder: Path) -> "Files":
        """Write both into a folder, under the names of Kubernetes."""
        folder.mkdir(parents=True, exist_ok=True)
        files = Files(folder / "tls.crt", folder / "tls.key")
        files.chain.write_bytes(self.chain)
        files.key.write_bytes(self.key)
        return files


class Files(NamedTuple):
    """The files of a pair."""

    chain: Path
    key: Path

    def settings(self, prefix: str = "GRPC") -> dict[str, str]:
        """The settings that name them."""
        return {
            f"{prefix}_TLS_CERT_FILE": str(self.chain),
            f"{prefix}_TLS_KEY_FILE": str(self.key),
        }


# What the key of an authority is for.
_SIGNS = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """An authority, whose certificate is in `pem`."""

    def __init__(
        self,
        name: str,
        issuer: "Authority | None" = None,
        lifetime: tuple[float, float] = VALID,
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        self._issuer = issuer
        own = issuer or self
        builder = _builder(self.name, own.name, self.key, lifetime)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        subject_key = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(own.key.public_key())
        # Python 3.13 insists on all of these.
        signed = (
            builder.add_extension(constraints, critical=True)
            .add_extension(_SIGNS, critical=True)
            .add_extension(subject_key, critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(own.key, hashes.SHA256())
        )
        self.pem = signed.public_bytes(Encoding.PEM)

    def issue(
        self,
        *names: str,
        lifetime: tuple[float, float] = VALID,
        key: CertificateIssuerPrivateKeyTypes | None = None,
    ) -> Pair:
        """A certificate with these names: host names, addresses, URIs. `lifetime` is in days."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name("issued"), self.name, key, lifetime)
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        # Python 3.13 would insist on it.
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        signed = (
            builder.add_extension(alternatives, critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        between = self.pem if self._issuer else b""
        return Pair(signed.public_bytes(Encoding.PEM) + between, pem_of(key))


def self_signed(*names: str) -> Pair:
    """A certificate that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
    name = _name("self-signed")
    builder = _builder(name, name, key, VALID).add_extension(alternatives, critical=False)
    return Pair(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM), pem_of(key))


def pem_of(key: CertificateIssuerPrivateKeyTypes, password: bytes | None = None) -> bytes:
    """A private key, with a password or without."""
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _builder(
    name: x509.Name,
    issuer: x509.Name,
    key: CertificateIssuerPrivateKeyTypes,
    lifetime: tuple[float, float],
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    begin, end = lifetime
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin * _DAY)
        .not_valid_after(now + end * _DAY)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
