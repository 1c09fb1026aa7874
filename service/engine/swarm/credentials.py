"""The logins of Docker's `config.json`, which go along with a service to the nodes that pull."""

from collections.abc import Mapping

from docker.auth import AuthConfig, encode_header, load_config, resolve_repository_name
from docker.errors import DockerException

from observability.logs import get_logger

log = get_logger(__name__)

_HEADER = "X-Registry-Auth"


class Credentials:
    """What is known of registries. Its methods may block: a login may be with a helper program."""

    def __init__(self, known: AuthConfig | None = None) -> None:
        self._known = _known() if known is None else known

    def headers(self, image: str) -> Mapping[str, str]:
        """The header that has the login for the registry of an image, if there is one."""
        try:
            registry, _ = resolve_repository_name(image)
            found = self._known.resolve_authconfig(registry)
            return {_HEADER: encode_header(found).decode()} if found else {}
        except (DockerException, OSError, ValueError) as error:
            # Its text may hold what the helper has said.
            log.warning("credentials.unusable", image=image, error=type(error).__name__)
            return {}


def _known() -> AuthConfig:
    """What is in the file; what cannot be read is told already (`http_headers`)."""
    try:
        return load_config()
    except (DockerException, AttributeError, TypeError, ValueError):
        return AuthConfig({})
