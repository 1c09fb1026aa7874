"""Reads the access file at the start and after each change."""

import asyncio
from collections.abc import Collection, Iterator

from observability.escaping import printable
from observability.logs import get_logger
from observability.metrics import Metrics
from service.access.access import Access, ByCertificate
from service.access.access_file import load_clients
from service.access.clients import Clients, JobScope
from service.access.roles import CHANGES, may_call
from service.errors import StartError
from service.settings import Settings
from service.support.file_watcher import FileWatcher

log = get_logger(__name__)


def open_access(
    settings: Settings, jobs: Collection[str], metrics: Metrics, files: FileWatcher
) -> Access | None:
    """Access by the access file, which is followed from now on.

    Without such a file: by certificates, if clients are asked for them, or else None.

    `jobs` are the names of the catalogue. Raises `StartError`. A later fault of the file is logged,
    and the clients stay as they are.
    """
    if settings.access_file is None:
        read_clients(settings)
        return ByCertificate(metrics) if settings.grpc_tls_client_ca_file else None
    loop = asyncio.get_running_loop()

    def use(clients: Clients) -> None:
        access.replace(clients)
        _report(clients, jobs, metrics)

    def refuse(reason: str) -> None:
        access.fault = reason
        metrics.access_reload_success.set(0)
        log.error("access.refused", reason=reason)

    def read_again() -> None:  # in a thread; the catalogue changes on the loop
        try:
            clients = read_clients(settings)
        except StartError as error:
            loop.call_soon_threadsafe(refuse, str(error))
        else:
            loop.call_soon_threadsafe(use, clients)

    files.watch([settings.access_file], read_again)
    clients = read_clients(settings)
    access = Access(clients, metrics)
    _report(clients, jobs, metrics)
    return access


def read_clients(settings: Settings) -> Clients:
    """The clients of the access file, if there is one. Raises `StartError`."""
    if settings.access_file is None:
        if settings.metrics_access == "required":
            raise StartError("METRICS_ACCESS=required: allowed is open, or ACCESS_FILE with it")
        return Clients()
    clients = load_clients(settings.access_file)
    for fault in (_in_the_clear(settings, clients), _never_asked_for(settings, clients)):
        if fault:
            raise StartError(f"ACCESS_FILE={printable(str(settings.access_file))}: {fault}")
    return clients


def _in_the_clear(settings: Settings, clients: Clients) -> str:
    """What is wrong if tokens would cross a network unencrypted."""
    address = settings.bind_address
    if not clients.have_tokens or (address is not None and address.is_loopback):
        return ""
    open_ports = []
    if settings.grpc_tls_cert_file is None:
        open_ports.append("GRPC_TLS_CERT_FILE and GRPC_TLS_KEY_FILE")
    if settings.metrics_access == "required" and settings.metrics_tls_cert_file is None:
        open_ports.append("METRICS_TLS_CERT_FILE and METRICS_TLS_KEY_FILE")
    if not open_ports:
        return ""
    needed = ", ".join(open_ports)
    return f"tokens would travel in the clear; allowed is {needed}, or a BIND_ADDRESS of loopback"


def _never_asked_for(settings: Settings, clients: Clients) -> str:
    """What is wrong if no client is asked for a certificate."""
    if not clients.have_certificates or settings.grpc_tls_client_ca_file is not None:
        return ""
    return "certificates: no client is asked for one; allowed is GRPC_TLS_CLIENT_CA_FILE with it"


def _report(clients: Clients, jobs: Collection[str], metrics: Metrics) -> None:
    metrics.access_reload_success.set(1)
    metrics.access_reload_success_at.set_to_current_time()
    log.info("access.read", clients=len(clients.all))
    stranger = clients.anonymous
    if stranger and any(may_call(stranger.role, method) for method in CHANGES):
        log.warning("access.open", role=stranger.role, jobs=str(stranger.jobs))
    warn_of_patterns(clients, jobs)


def warn_of_patterns(clients: Clients, jobs: Collection[str]) -> None:
    """Log the patterns that match no job of the catalogue."""
    for client, pattern in patterns_without_a_job(clients, jobs):
        log.warning("access.no_such_job", client=client, pattern=pattern)


def patterns_without_a_job(clients: Clients, jobs: Collection[str]) -> Iterator[tuple[str, str]]:
    """The patterns that match no job of the catalogue, each with the name of its client."""
    for client in clients.all:
        for pattern in client.jobs.patterns or ():
            if not any(map(JobScope([pattern]).allows, jobs)):
                yield client.name, pattern
