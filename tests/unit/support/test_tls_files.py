import dataclasses
import os
import ssl
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from scripts.certificates import EXPIRED, NOT_YET, Authority, Pair, pem_of, self_signed
from service.support.tls_files import Certificates, TlsFile, TlsFiles, TlsFilesError

_UNKNOWN_KEY = "has a key that gRPC does not know"
_DAY = 86_400
_AUTHORITY = Authority("ours")
_PAIR = _AUTHORITY.issue("supervisor")


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    """The files of a port, which fit."""
    return _files(_PAIR, tmp_path)


def _files(pair: Pair, folder: Path, authorities: bytes | None = None) -> TlsFiles:
    chain, key = pair.write(folder)
    file = None
    if authorities is not None:
        file = TlsFile("GRPC_TLS_CLIENT_CA_FILE", folder / "ca.crt")
        file.path.write_bytes(authorities)
    return TlsFiles(TlsFile("GRPC_TLS_CERT_FILE", chain), TlsFile("GRPC_TLS_KEY_FILE", key), file)


def _wrong(files: TlsFiles) -> str:
    with pytest.raises(TlsFilesError) as raised:
        files.read()
    text = str(raised.value)
    assert text.isprintable()  # a line
    for file in (files.chain, files.key):
        content = file.path.read_bytes() if file.path.is_file() else b""
        assert not any(line in text.encode() for line in content.splitlines() if len(line) > 4)
    return text


def test_files_that_fit_are_read(files: TlsFiles) -> None:
    read = files.read()
    assert (_PAIR.chain, _PAIR.key, None) == (read.chain, read.key, read.client_authorities)
    assert abs(time.time() - _DAY - read.not_before) < 3600
    assert abs(time.time() + 30 * _DAY - read.not_after) < 3600


def test_the_key_is_in_no_text_about_them(files: TlsFiles) -> None:
    assert "PRIVATE" not in repr(files.read())


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(self_signed("supervisor"), id="self-signed"),
        pytest.param(Authority("between", _AUTHORITY).issue("supervisor"), id="chain"),
        pytest.param(_AUTHORITY.issue("spiffe://area/supervisor"), id="without a host name"),
        pytest.param(_AUTHORITY.issue("x", key=rsa.generate_private_key(65537, 2048)), id="RSA"),
        pytest.param(
            _AUTHORITY.issue("x", key=ec.generate_private_key(ec.SECP384R1())), id="P-384"
        ),
        pytest.param(Pair(b"Some t\xc3\xa9xt\n" + _PAIR.chain, _PAIR.key), id="with a comment"),
        pytest.param(Pair(_PAIR.key + _PAIR.chain, _PAIR.chain + _PAIR.key), id="in one file"),
    ],
)
def test_pairs_of_many_kinds_fit(pair: Pair, tmp_path: Path) -> None:
    assert isinstance(_files(pair, tmp_path).read(), Certificates)


@pytest.mark.parametrize(
    ("pair", "which", "what"),
    [
        (Pair(_PAIR.chain, pem_of(ec.generate_private_key(ec.SECP256R1()))), "KEY", "is not the"),
        (_AUTHORITY.issue("x", lifetime=EXPIRED), "CERT", "certificate has expired"),
        (_AUTHORITY.issue("x", lifetime=NOT_YET), "CERT", "certificate is not yet valid"),
        (_AUTHORITY.issue("x", key=rsa.generate_private_key(65537, 1024)), "CERT", "is too weak"),
        (_AUTHORITY.issue("x", key=ed25519.Ed25519PrivateKey.generate()), "CERT", _UNKNOWN_KEY),
        (_AUTHORITY.issue("x", key=ec.generate_private_key(ec.SECP521R1())), "CERT", _UNKNOWN_KEY),
        (
            _AUTHORITY.issue("x", key=ec.generate_private_key(ec.SECP256K1())),
            "CERT",
            "cannot be used",
        ),
        (Pair(_PAIR.chain[:200], _PAIR.key), "CERT", "has no certificates that can be read"),
        (Pair(b"", _PAIR.key), "CERT", "has no certificates that can be read"),
        (Pair(b"\0\xff" * 99, _PAIR.key), "CERT", "has no certificates that can be read"),
        (Pair(_PAIR.chain, _PAIR.key[:100]), "KEY", "has no private key that can be read"),
        (Pair(_PAIR.chain, b""), "KEY", "has no private key that can be read"),
        (Pair(_PAIR.chain, b"\0\xff" * 99), "KEY", "has no private key that can be read"),
        (Pair(_PAIR.chain, _PAIR.chain), "KEY", "has no private key that can be read"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(
    pair: Pair, which: str, what: str, tmp_path: Path
) -> None:
    name = {"CERT": "tls.crt", "KEY": "tls.key"}[which]
    text = _wrong(_files(pair, tmp_path))
    assert text.startswith(f"GRPC_TLS_{which}_FILE={tmp_path}/{name}: {what}")
    assert "; allowed is a PEM file with " in text


def test_a_key_with_a_password_is_not_asked_for_it(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pair = Pair(_AUTHORITY.issue("x", key=key).chain, pem_of(key, b"secret"))
    text = _wrong(_files(pair, tmp_path))
    assert "has no private key that can be read" in text
    assert "without a password" in text


def test_a_file_that_is_not_there_is_told_with_the_reason(files: TlsFiles, tmp_path: Path) -> None:
    files.key.path.unlink()
    told = f"GRPC_TLS_KEY_FILE={tmp_path}/tls.key: cannot be read (No such file or directory); "
    assert _wrong(files).startswith(told)


def test_a_folder_and_a_named_pipe_are_no_files(files: TlsFiles) -> None:
    for make, what in (
        (Path.mkdir, "cannot be read (Is a directory)"),
        (os.mkfifo, "is a named pipe"),
    ):
        files.chain.path.unlink()
        make(files.chain.path)
        assert what in _wrong(files)
        if what.startswith("cannot"):
            files.chain.path.rmdir()
            files.chain.path.touch()


def test_a_device_is_no_file(files: TlsFiles) -> None:
    endless = TlsFile("GRPC_TLS_CERT_FILE", Path("/dev/zero"))
    assert "/dev/zero: is a device; allowed is a PEM file" in _wrong(
        dataclasses.replace(files, chain=endless)
    )


def test_authorities_that_have_all_expired_are_told(tmp_path: Path) -> None:
    expired = Authority("old", lifetime=EXPIRED).pem
    text = _wrong(_files(_PAIR, tmp_path, expired))
    assert text.startswith(f"GRPC_TLS_CLIENT_CA_FILE={tmp_path}/ca.crt: has expired; allowed is ")
    assert _files(_PAIR, tmp_path, expired + _AUTHORITY.pem).read().client_authorities


def test_the_authorities_of_clients_are_read(tmp_path: Path) -> None:
    both = _AUTHORITY.pem + Authority("another").pem
    read = _files(_PAIR, tmp_path, both).read()
    assert both == read.client_authorities


def test_of_the_authorities_that_are_valid_the_one_that_expires_first_is_told(
    tmp_path: Path,
) -> None:
    soon, expired = Authority("soon", lifetime=(-9, 1)), Authority("old", lifetime=EXPIRED)
    authority = _files(_PAIR, tmp_path, expired.pem + _AUTHORITY.pem + soon.pem).read().authority
    assert authority
    assert abs(time.time() - 9 * _DAY - authority.begins) < 3600
    assert abs(time.time() + _DAY - authority.ends) < 3600
    assert _files(_PAIR, tmp_path).read().authority is None


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\xff", _PAIR.key, _AUTHORITY.pem[:99]],
    ids=["empty", "odd", "key", "half"],
)
def test_a_file_without_authorities_is_told(content: bytes, tmp_path: Path) -> None:
    text = _wrong(_files(_PAIR, tmp_path, content))
    told = f"GRPC_TLS_CLIENT_CA_FILE={tmp_path}/ca.crt: has no certificates that can be read; "
    assert text.startswith(told)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_open(files: TlsFiles) -> None:
    files.read()
    before = _open_files()
    for _ in range(10):
        files.read()
    assert before == _open_files()


def test_the_context_speaks_tls_1_2_or_later(files: TlsFiles) -> None:
    assert ssl.TLSVersion.TLSv1_2 == files.read().context.minimum_version
