"""`area-supervisor remove-legacy`: removes the containers of the Go supervisor."""

from typing import Annotated

import typer

from service.cli.output import say, show, warn_of_misspelt
from service.errors import EngineError


def remove_legacy(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them.")] = False,
) -> None:
    """Remove the Go supervisor's containers: without our labels, of the catalogue's images."""
    from service.app.environment import read_settings

    settings, _ = read_settings()
    warn_of_misspelt()
    from service.app.engines import open_legacy_containers
    from service.jobs.catalog_file import load_catalog
    from service.jobs.labels import INSTANCE_LABEL

    legacy = open_legacy_containers()
    found = legacy.find(load_catalog(settings.job_catalog).images, INSTANCE_LABEL)
    show(["container", "image", "status"], [(c.name, c.image, c.status) for c in found])
    if dry_run:
        say(f"{len(found)} would be removed")
        return
    left = 0
    for container in found:
        try:
            legacy.remove(container, settings.job_stop_grace_seconds)
            say(f"removed {container.name}")
        except EngineError as error:
            left += 1
            say(f"left {container.name}: {error}", err=True)
    say(f"{len(found) - left} removed, {left} left")
    raise typer.Exit(1 if left else 0)
