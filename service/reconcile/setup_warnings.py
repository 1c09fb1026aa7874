"""Warnings about settings and features of the engine with which jobs cannot start or call back.

They are logged only: no request waits for them, or is refused because of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from observability.logs import get_logger
from service.engine.base import Engine, Trait
from service.errors import EngineError
from service.settings import Settings

log = get_logger(__name__)

HOST_NETWORK = "host"


@dataclass(frozen=True, slots=True, order=True)
class SetupWarning:
    """What is wrong, and what helps."""

    about: str
    meaning: str
    helps: str


_LOCAL = SetupWarning(
    about="GRPC_CALLBACK_HOST",
    meaning="outside of the host's network `localhost` is the job's own container: no job reaches"
    " the backend",
    helps="set GRPC_CALLBACK_HOST to what the backend is called in that network, such as the name"
    " of its container or the network's gateway, or JOB_NETWORK=host",
)
_REMAPPED = SetupWarning(
    about="userns-remap",
    meaning="the Engine remaps users, and then starts no container in the host's network: each"
    " launch is refused",
    helps="set JOB_NETWORK to a network of the Engine, and GRPC_CALLBACK_HOST to what the backend"
    " is called in it",
)
_ROOTLESS = SetupWarning(
    about="rootless",
    meaning="the Engine runs rootless, in a network namespace of its own: `localhost` in there is"
    " not the host",
    helps="set GRPC_CALLBACK_HOST to an address of the host that can be reached from there, or run"
    " the backend on that Engine",
)


_GAINS_PRIVILEGES = SetupWarning(
    about="no_new_privileges",
    meaning="services of this Swarm can gain privileges: a setuid program in a job has"
    " its effect, and a launch is refused if the catalogue asks for no_new_privileges",
    helps="update the managers and nodes to Docker 25 or later, or set `no-new-privileges` in the"
    " daemon.json of each node",
)


class SetupWarnings:
    """Checks the settings and the engine, and logs each new warning once."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._in_host_network = settings.job_network == HOST_NETWORK
        self._calls_localhost = is_local(settings.grpc_callback_host)
        self._logged: frozenset[SetupWarning] = frozenset()

    def check_settings(self) -> None:
        """Log what is wrong with any engine."""
        if self._calls_localhost and not self._in_host_network:
            _log(_LOCAL)

    async def check_engine(self) -> None:
        """Log what is wrong with this engine. Nothing if it does not answer."""
        try:
            found = frozenset(self._warnings(await self._engine.traits()))
        except EngineError:
            return
        for warning in sorted(found - self._logged):
            _log(warning)
        self._logged = found

    def _warnings(self, traits: frozenset[Trait]) -> Iterator[SetupWarning]:
        if Trait.GAINS_PRIVILEGES in traits:
            yield _GAINS_PRIVILEGES
        if not self._in_host_network:
            return
        if Trait.USERNS_REMAP in traits:
            yield _REMAPPED
        if Trait.ROOTLESS in traits and self._calls_localhost:
            yield _ROOTLESS


def _log(warning: SetupWarning) -> None:
    log.warning(
        "surroundings.noticed", about=warning.about, meaning=warning.meaning, helps=warning.helps
    )


def is_local(host: str) -> bool:
    """Whether a host is whatever machine, or container, asks for it."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    # From Python 3.13 on, an address does this itself.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
