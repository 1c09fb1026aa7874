"""docker-py, tamed: where the Engine is, and a client for each thread."""

import os
import threading
from dataclasses import dataclass
from http import HTTPStatus

import docker
from docker.errors import APIError, DockerException, TLSParameterError
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env, parse_host

from observability.printable import printable
from service.engine._client import Client
from service.errors import StartError

_SCHEMES = ("unix://", "tcp://")
_TLS_VARIABLES = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")

_NO_ENGINES_ANSWER = (KeyError, TypeError, ValueError)  # to the question for its version
NOT_DOCKER = "what answers there is not a Docker Engine"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the Engine listens."""

    url: str
    tls: TLSConfig | None = None


def connection_from_env() -> Connection:
    """The Engine of `DOCKER_HOST` and its TLS companions. Raises `StartError`."""
    url = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if url == "unix://" or not url.startswith(_SCHEMES) or not _can_be_parsed(url):
        raise StartError(f"DOCKER_HOST={printable(url)}: allowed is unix://PATH or tcp://HOST:PORT")
    return Connection(url, _tls_from_env() if url.startswith("tcp://") else None)


def _can_be_parsed(url: str) -> bool:
    try:
        parse_host(url)
    except (DockerException, ValueError):
        return False
    return True


def _tls_from_env() -> TLSConfig | None:
    try:
        return kwargs_from_env().get("tls")
    except TLSParameterError:
        told = [f"{name}={printable(os.environ.get(name, ''))}" for name in _TLS_VARIABLES]
        raise StartError(
            f"{', '.join(told)}: allowed is a folder with ca.pem, cert.pem and key.pem"
        ) from None


class Clients:
    """A client for each thread. All speak the API version that was last negotiated."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._version: str | None = None
        self._local = threading.local()

    def get(self) -> docker.APIClient:
        """Find or make the client of this thread."""
        client: docker.APIClient | None = getattr(self._local, "client", None)
        if client is None or client.api_version != self._version:
            client = self._local.client = self._connect(self._version)
            self._version = client.api_version
        return client

    def negotiate(self) -> docker.APIClient:
        """A new client that has asked the Engine for its version: it may be another Engine now."""
        client = self._connect(None)
        self._version = client.api_version
        return client

    def _connect(self, version: str | None) -> docker.APIClient:
        client = self._made(version)
        client.trust_env = False  # no proxy and no netrc between us and the Engine
        return client

    def _made(self, version: str | None) -> docker.APIClient:
        try:
            return Client(
                base_url=self._connection.url,
                tls=self._connection.tls or False,
                version=version or "auto",
                timeout=10,
            )
        except (DockerException, *_NO_ENGINES_ANSWER) as error:
            met = error.__cause__ or error  # it wraps what the negotiation has met
        if isinstance(met, _NO_ENGINES_ANSWER) or _is_not_found(met):
            met = DockerException(NOT_DOCKER)
        raise met  # not in there, where it would become its own context


def _is_not_found(error: BaseException) -> bool:
    return isinstance(error, APIError) and error.status_code == HTTPStatus.NOT_FOUND
