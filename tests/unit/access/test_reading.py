"""When an access file does not fit the ports: a token must not cross a network in the clear."""

from pathlib import Path

import pytest

from service.access.reading import read_clients
from service.access.tokens import hash_line
from service.errors import StartError
from service.settings import Settings

_FILE = f'[clients.a]\nrole = "backend"\ntokens = ["{hash_line("t")}"]\n'
_ANYBODY = '[anonymous]\nrole = "backend"\n'
_GRPC = {"grpc_tls_cert_file": Path("c"), "grpc_tls_key_file": Path("k")}
_HTTP = {"metrics_tls_cert_file": Path("c"), "metrics_tls_key_file": Path("k")}
_GUARDED = {"metrics_access": "required"}


def _read(tmp_path: Path, text: str, settings: dict[str, object]) -> None:
    path = tmp_path / "access.toml"
    path.write_text(text)
    read_clients(Settings.model_validate({"access_file": path, **settings}))


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({}, "GRPC_TLS_CERT_FILE"),
        ({"bind_address": "0.0.0.0"}, "GRPC_TLS_CERT_FILE"),
        ({"bind_address": "192.0.2.1"}, "GRPC_TLS_CERT_FILE"),
        (_HTTP, "GRPC_TLS_CERT_FILE"),
        (_GRPC | _GUARDED, "METRICS_TLS_CERT_FILE"),
        (_HTTP | _GUARDED, "GRPC_TLS_CERT_FILE"),
    ],
    ids=str,
)
def test_tokens_that_would_cross_a_network_in_the_clear_are_refused(
    tmp_path: Path, settings: dict[str, object], missing: str
) -> None:
    with pytest.raises(StartError, match=f"in the clear; allowed is {missing}"):
        _read(tmp_path, _FILE, settings)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (_FILE, {"bind_address": "127.0.0.1"}),
        (_FILE, {"bind_address": "::1"}),
        (_FILE, _GRPC),
        (_FILE, _GRPC | _HTTP | _GUARDED),
        (_FILE, _GUARDED | {"bind_address": "127.0.0.9"}),
        (_ANYBODY, {}),
    ],
    ids=str,
)
def test_other_access_files_are_read(
    tmp_path: Path, text: str, settings: dict[str, object]
) -> None:
    _read(tmp_path, text, settings)
