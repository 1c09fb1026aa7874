"""Where the Engine is (`DOCKER_HOST`, TLS), which API it has, and a client for each thread."""

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, TLSParameterError
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env, parse_host, version_lt

from observability.escaping import printable
from observability.secret_signs import shown_setting, unless_secret
from service.engine.docker.client import Client
from service.engine.docker.config_json import http_headers
from service.engine.docker.engine_info import Version
from service.engine.docker.parsing import MISREAD, read
from service.engine.docker.podman import PodmanClient
from service.errors import EngineUnmounted, StartError

_SCHEMES = ("unix://", "tcp://")
_TLS_VARIABLES = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")

NOT_DOCKER = "the program that answers there is not a Docker Engine"


@dataclass(frozen=True, slots=True)
class Connection:
    """The Engine's address. The URL and the headers may contain a password."""

    url: str = field(repr=False)
    tls: TLSConfig | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def address(self) -> str:
        """The same for each path to the Engine's socket. May contain a password."""
        scheme, _, path = self.url.partition("://")
        return str(Path(path).resolve()) if scheme == "unix" else self.url

    @property
    def shown(self) -> str:
        """The URL without a password."""
        return _shown(self.url)

    def check_mount(self) -> None:
        """Raise `EngineUnmounted` if the mounted socket has been deleted on the host.

        This happens when the socket file itself is mounted, not its folder, and the Engine creates
        its socket again: the mount keeps the old file.
        """
        scheme, _, path = self.url.partition("://")
        with suppress(OSError):
            if scheme == "unix" and not Path(path).stat().st_nlink:
                raise EngineUnmounted(
                    f"the Docker Engine cannot be reached: the mount of {path} is of a socket that"
                    " has been deleted; restart this container, or mount the socket's folder"
                ) from None


def connection_from_env() -> Connection:
    """The Engine of `DOCKER_HOST`, with its TLS variables. Raises `StartError`."""
    url = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if url == "unix://" or not url.startswith(_SCHEMES) or not _can_be_parsed(url):
        raise StartError(
            f"DOCKER_HOST={printable(_shown(url))}: allowed is unix://PATH or tcp://HOST:PORT"
        )
    tls = _tls_from_env() if url.startswith("tcp://") else None
    return Connection(url, tls, http_headers())


def _shown(url: str) -> str:
    """The URL without a password, which ends at the last `@`."""
    if url.startswith("unix://"):
        return url
    if "@" not in url:
        return unless_secret(url)
    before, _, host = url.rpartition("@")
    scheme, found, login = before.rpartition("://")
    user, has_password, _ = login.partition(":")
    return f"{scheme}{found}{user}{':***' if has_password else ''}@{host}"


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
        given = [f"{name}={shown_setting(os.environ.get(name, ''))}" for name in _TLS_VARIABLES]
        raise StartError(
            f"{', '.join(given)}: allowed is a folder with ca.pem, cert.pem and key.pem"
        ) from None


# The class of a client, and the version of the API.
_Kind = tuple[type[Client], str]


class Clients:
    """A client for each thread, of the kind that fits the Engine."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kind: _Kind | None = None
        self._local = threading.local()

    def get(self) -> Client:
        """Find or make the client of this thread."""
        client: Client | None = getattr(self._local, "client", None)
        if client is None or (type(client), client.api_version) != self._kind:
            known = self._kind
            client = self._local.client = self._make(*known) if known else self.negotiate()
        return client

    def plain(self) -> Client:
        """Make a client without asking the Engine for its version, at which it may hang."""
        return self._make(Client)

    def negotiate(self) -> Client:
        """Ask the Engine for its version, which may have changed, and make a client for it."""
        client = self._make(Client)
        kind, version = self._kind = _detect(client)
        if kind is Client:
            client.use_version(version)
            return client
        client.close()
        return self._make(kind, version)

    def _make(self, kind: type[Client], version: str = "") -> Client:
        at = self._connection
        client = kind(at.url, at.tls, at.headers)
        if version:
            client.use_version(version)
        return client


def _detect(client: Client) -> _Kind:
    """The kind of client that fits an Engine. Raises docker-py's errors."""
    failure = DockerException(NOT_DOCKER)
    try:
        answer = read(Version, client.version(api_version=False))
        if not version_lt(answer.ApiVersion, MINIMUM_DOCKER_API_VERSION):
            return (PodmanClient if answer.is_podmans else Client), answer.ApiVersion
        failure = DockerException(f"its API {answer.ApiVersion} is no longer supported")
    except APIError as error:
        if error.status_code != HTTPStatus.NOT_FOUND:
            raise
    except MISREAD:
        pass
    raise failure  # outside the `try`: messages are made from the innermost cause
