"""A registry with one image, which fails on demand: by an answer, or by none."""

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from scripts.ports import free_port

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_LAYER_BYTES = 4 * 1024 * 1024
_BETWEEN_BYTES = 0.05  # seconds
HUB_SAYS = (
    "You have reached your pull rate limit. You may increase the limit by authenticating and"
    " upgrading: https://hub.example/increase-rate-limit"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer to the question for a manifest."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: int, code: str, message: str, **headers: str) -> Refusal:
    """An answer as the specification of registries has it. `_` in a header's name is a dash."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Refusal(status, body, {name.replace("_", "-"): text for name, text in headers.items()})


class FailingRegistry:
    """A registry that runs. It has any image, until it is told to fail."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.refusal: Refusal | None = None
        self.stalls_at = ""  # "manifests", which it does not answer, or "blobs", which take hours
        self.stalled = threading.Event()  # somebody waits
        self.left = threading.Event()  # nobody waits for the rest of a layer any more
        self.over = threading.Event()  # the registry ends
        self.blobs: dict[str, bytes] = {}
        self.manifest = self._make()

    def image(self, name: str = "worker") -> str:
        """The name of its image."""
        return f"{self.address}/tests/{name}:1"

    def _make(self) -> bytes:
        """An image with one file, which cannot be compressed."""
        content = b"".join(hashlib.sha256(bytes([n % 256, n // 256 % 256, n // 65536])).digest()
                           for n in range(_LAYER_BYTES // 32))  # fmt: skip
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo("file")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        tar = packed.getvalue()
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
        }
        layer = self._add(gzip.compress(tar, 1), "image.rootfs.diff.tar.gzip")
        made = {"schemaVersion": 2, "mediaType": _MANIFEST, "layers": [layer]}
        made["config"] = self._add(json.dumps(config).encode(), "container.image.v1+json")
        return json.dumps(made).encode()

    def _add(self, blob: bytes, kind: str) -> Mapping[str, Any]:
        self.blobs[_digest(blob)] = blob
        media = f"application/vnd.docker.{kind}"
        return {"mediaType": media, "size": len(blob), "digest": _digest(blob)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextmanager
def a_failing_registry() -> Iterator[FailingRegistry]:
    """Run one."""
    made = FailingRegistry()
    host, _, port = made.address.rpartition(":")

    class Handler(_Handler):
        registry = made

    server = ThreadingHTTPServer((host, int(port)), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    registry: FailingRegistry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kind, _, name = self.path.rpartition("/")
        if self.path == "/v2/":
            self._answer(200, b"{}")
        elif kind.endswith("/manifests"):
            self._answer_manifest()
        elif (blob := self.registry.blobs.get(name)) is not None:
            self._answer_blob(blob)
        else:
            self._answer(404, b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer_manifest(self) -> None:
        registry = self.registry
        if registry.stalls_at == "manifests":
            self._stall()
        elif (refused := registry.refusal) is not None:
            self._answer(refused.status, refused.body, refused.headers)
        else:
            digest = {"Docker-Content-Digest": _digest(registry.manifest)}
            self._answer(200, registry.manifest, {"Content-Type": _MANIFEST, **digest})

    def _answer_blob(self, blob: bytes) -> None:
        if self.registry.stalls_at == "blobs" and len(blob) > _LAYER_BYTES // 2:
            self._answer(200, blob[: len(blob) // 2], length=len(blob))
            self._trickle()
        else:
            self._answer(200, blob)

    def _answer(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        given = {"Content-Type": "application/json", **(headers or {})}
        for name, text in given.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.wfile.flush()

    def _stall(self) -> None:
        """Say nothing until whoever asked has gone."""
        self.close_connection = True
        self.registry.stalled.set()
        with suppress(OSError):
            self.connection.recv(1)

    def _trickle(self) -> None:
        """Send a byte now and then until whoever asked has gone: Docker notices that by a byte."""
        self.close_connection = True
        self.registry.stalled.set()
        with suppress(OSError):
            while not self.registry.over.wait(_BETWEEN_BYTES):
                self.wfile.write(b"x")
        self.registry.left.set()

    def log_message(self, *args: Any) -> None:
        """Say nothing on the terminal either."""
