"""`area-supervisor health`: asks a running supervisor for its health."""

from typing import Annotated

import typer

from service.cli.output import say


def health(
    service: Annotated[
        str,
        typer.Option(help='What to ask for: liveness, "" or the service\'s name for readiness.'),
    ] = "liveness",
) -> None:
    """Ask the supervisor on this host for its health; exit 0 if it is SERVING, else 1."""
    from service.app.environment import read_settings
    from service.app.process_setup import STDOUT, make_non_blocking
    from service.support.process_limits import HEALTH_THREADS, require_threads

    settings, _ = read_settings()
    from service.api.health_client import check_health, check_page

    require_threads(HEALTH_THREADS)
    make_non_blocking(STDOUT)
    host = str(settings.bind_address or "127.0.0.1")
    if settings.grpc_tls:
        tls = settings.metrics_tls_cert_file is not None
        serving, status = check_page(host, settings.metrics_port, service, tls=tls)
    else:
        serving, status = check_health(host, settings.grpc_server_port, service)
    say(status)
    raise typer.Exit(0 if serving else 1)
