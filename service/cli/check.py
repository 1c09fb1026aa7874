"""`area-supervisor check`: checks the settings and the catalogue."""

from observability.escaping import printable
from service.app.environment import read_settings
from service.cli.output import say, warn_of_misspelt


def check() -> None:
    """Check the settings and the catalogue, and start nothing; exit 1 with what is wrong."""
    settings, _ = read_settings()
    warn_of_misspelt()
    from service.jobs.catalog import PACKAGED, load_catalog

    jobs = len(load_catalog(settings.job_catalog))
    say(f"{printable(str(settings.job_catalog or PACKAGED))}: {jobs} jobs")
