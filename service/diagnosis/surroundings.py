"""What keeps jobs from starting or calling back: settings and features of the engine."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from service.engine.configuration import Offers, Trait
from service.jobs.catalog import Catalog
from service.jobs.catalog_keys import Entry
from service.settings import Settings

HOST_NETWORK = "host"
_SHOWN = 5  # jobs that a warning names


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


class Surroundings:
    """Finds what does not fit together."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog, self._settings = catalog, settings
        self._calls_localhost = is_local(settings.grpc_callback_host)

    def of_settings(self) -> Iterator[SetupWarning]:
        """Warnings about the settings, with any engine."""
        for name, jobs in self._by(lambda entry: entry.pass_environment).items():
            if name not in os.environ:
                yield _not_set(name, jobs)
        if self._calls_localhost and self._networks - {HOST_NETWORK}:
            yield _LOCAL

    def of_engine(self, traits: frozenset[Trait], offers: Offers) -> Iterator[SetupWarning]:
        """Warnings about this engine, as far as it describes itself."""
        if Trait.GAINS_PRIVILEGES in traits:
            yield _GAINS_PRIVILEGES
        if HOST_NETWORK in self._networks:
            if Trait.USERNS_REMAP in traits:
                yield _REMAPPED
            if Trait.ROOTLESS in traits and self._calls_localhost:
                yield _ROOTLESS
        yield from self._lacks(offers)

    @property
    def asks_for_offers(self) -> bool:
        """Whether what the engine offers matters."""
        return bool(self._by(_runtimes) or self._by(_log_drivers))

    def _lacks(self, offers: Offers) -> Iterator[SetupWarning]:
        """Warnings about features that jobs ask for and the engine lacks."""
        for key, what, names, offered in (
            ("runtime", "runtime", _runtimes, offers.runtimes),
            ("log", "log driver", _log_drivers, offers.log_drivers),
        ):
            for name, jobs in self._by(names).items():
                if offered is None or name in offered or name.startswith(offers.more_runtimes):
                    continue
                yield _lacking(key, f"{what} {name}", jobs, offered)

    def _by(self, names: Callable[[Entry], Iterable[str]]) -> Mapping[str, Sequence[str]]:
        """The names that jobs ask for, each with the names of the jobs."""
        asked: dict[str, list[str]] = {}
        for job, entry in self._catalog.items():
            for name in names(entry):
                asked.setdefault(name, []).append(job)
        return asked

    @property
    def _networks(self) -> frozenset[str]:
        return networks_of(self._catalog, self._settings)


def networks_of(catalog: Catalog, settings: Settings) -> frozenset[str]:
    """The networks that jobs are launched in."""
    ours = settings.job_network
    return frozenset(e.network or ours for e in catalog.values() if e.image) or frozenset({ours})


def _runtimes(entry: Entry) -> Iterable[str]:
    return [entry.runtime] if entry.runtime else []


def _log_drivers(entry: Entry) -> Iterable[str]:
    return [entry.log.driver.removesuffix(":latest")] if entry.log and entry.log.driver else []


def _lacking(key: str, what: str, jobs: Sequence[str], offered: Collection[str]) -> SetupWarning:
    return SetupWarning(
        about=key,
        meaning=f"the engine has no {what}, and refuses each launch of {_shown(jobs)}",
        helps=f"set it up there, or let `{key}` in the catalogue name one of"
        f" {', '.join(sorted(offered))}",
    )


def _not_set(variable: str, jobs: Sequence[str]) -> SetupWarning:
    return SetupWarning(
        about="pass_environment",
        meaning=f"{variable} is not set: {_shown(jobs)} are launched without it",
        helps="set it for the supervisor, or take it out of `pass_environment` in the catalogue",
    )


def _shown(jobs: Sequence[str]) -> str:
    return ", ".join(jobs[:_SHOWN]) + (" and others" if jobs[_SHOWN:] else "")


def is_local(host: str) -> bool:
    """Whether a host is whatever machine, or container, asks for it.

    Linux connects to itself if asked for 0.0.0.0 or [::].
    """
    name = host.strip("[]").rstrip(".").lower()
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    # From Python 3.13 on, an address does this itself.
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified
