"""The logins for registries: from Docker's `config.json`, its credential helpers included.

They are read anew for each use, because tokens are short-lived and people log in later.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from docker.auth import AuthConfig, encode_header, load_config, resolve_repository_name
from docker.errors import DockerException
from docker.utils import parse_repository_tag

from observability.logs import get_logger
from observability.redaction.redactor import NO_SECRETS, Redactor
from service.engine.docker.config_json import read_config
from service.engine.docker.parsing import MISREAD

log = get_logger(__name__)

_HEADER = "X-Registry-Auth"
# What docker-py calls the parts of a login that are no secrets.
_NOT_SECRET = {"username", "email", "serveraddress"}


@dataclass(frozen=True, slots=True)
class Login:
    """The login for one registry, as docker-py has it: empty if there is none."""

    known: Mapping[str, str | None] = field(default_factory=dict, repr=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers for a request to the Engine."""
        return {_HEADER: encode_header(dict(self.known)).decode()} if self.known else {}

    @property
    def redact(self) -> Redactor:
        """Removes the secrets of the login from a text."""
        secrets = {k: v for k, v in self.known.items() if v and k.lower() not in _NOT_SECRET}
        return Redactor([*secrets.values(), *self.headers.values()]) if secrets else NO_SECRETS


NO_LOGIN = Login()


def registry_of(image: str) -> str:
    """The registry of an image, such as `docker.io`. Raises docker-py's errors."""
    repository, _ = parse_repository_tag(image)
    registry: str = resolve_repository_name(repository)[0]
    return registry


def login_for(image: str) -> Login:
    """The login for the registry of an image. It may block: a helper is another program."""
    try:
        found = _logins().resolve_authconfig(registry_of(image))
        return Login(dict(found)) if found else NO_LOGIN
    except (DockerException, OSError, *MISREAD) as error:
        # Its text may hold what the helper has said.
        log.warning("credentials.unusable", image=image, error=type(error).__name__)
        return NO_LOGIN


def _logins() -> AuthConfig:
    """All that the file has. Raises for a file of another shape."""
    found = json.loads(read_config() or b"{}")
    # docker-py would look for the file itself if it got nothing, and wait for a named pipe.
    return load_config(config_dict=found) if found else AuthConfig({})
