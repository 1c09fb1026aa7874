"""Makes the console, if the settings ask for it."""

from observability.http_endpoint import all_interfaces
from observability.logs import get_logger
from service.access.access import Access
from service.api.jobs_service import JobsService
from service.api.observer_service import ObserverService
from service.api.server import binding
from service.app.tls_ports import TlsPorts
from service.console.app import Console, Links
from service.console.callers import Callers
from service.console.hosts import Hosts
from service.console.server import ConsoleServer
from service.settings import Settings

log = get_logger(__name__)

_LOOPBACK = "127.0.0.1"


def open_console(
    settings: Settings,
    jobs: JobsService,
    observer: ObserverService,
    access: Access | None,
    tls: TlsPorts,
) -> ConsoleServer | None:
    """The console with its port bound; None if it is not wanted. Raises `StartError`."""
    if settings.console_port is None:
        return None
    # Browsers have no certificate of the gRPC port: without an access file, nobody can log in.
    known = access if settings.access_file else None
    callers = Callers(known, secure=tls.console is not None)
    links = Links(settings.grafana_url, settings.trace_url_template)
    console = Console(jobs, observer, callers, links)
    address = address_of(settings, closed=known is not None and tls.console is not None)
    with binding("CONSOLE_PORT", address, settings.console_port):
        server = ConsoleServer(
            console.app(Hosts(settings.console_names)),
            address,
            settings.console_port,
            close=console.close,
            tls=tls.console,
        )
    log.info("console.opened", address=address, port=settings.console_port)
    return server


def address_of(settings: Settings, *, closed: bool) -> str:
    """Where it listens: on loopback only, unless it is closed to strangers and to listeners."""
    wanted = settings.bind_address
    if closed or settings.console_open:
        return str(wanted or all_interfaces())
    return str(wanted) if wanted is not None and wanted.is_loopback else _LOOPBACK
