"""`area-supervisor check`: checks the settings, and the files that they name."""

from observability.escaping import printable
from service.cli.output import say, warn_of_misspelt


def check() -> None:
    """Check settings, TLS, catalogue and access, and start nothing; exit 1 with what is wrong."""
    from service.app.environment import read_settings

    settings, _ = read_settings()
    warn_of_misspelt()
    from service.access.reading import patterns_without_a_job, read_clients
    from service.app.engines import ENGINES, adapted
    from service.app.tls_ports import grpc_files, http_files
    from service.jobs.catalog_file import PACKAGED, load_catalog

    for files in (grpc_files(settings), http_files(settings)):
        if files:
            files.read()
    jobs = load_catalog(settings.job_catalog)
    ENGINES[settings.supervisor_engine].check(adapted(settings), jobs)
    say(f"{printable(str(settings.job_catalog or PACKAGED))}: {len(jobs)} jobs")
    clients, file = read_clients(settings), printable(str(settings.access_file))
    if settings.access_file:
        say(f"{file}: {len(clients.all)} clients")
    for client, pattern in patterns_without_a_job(clients, jobs):
        say(f"{file}: client {client}: no job of the catalogue matches {pattern}", err=True)
