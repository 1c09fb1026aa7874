"""Connects reports of crashes to the backend, if `REPORT_CRASHES` is set."""

from observability.logs import get_logger
from observability.metrics import Metrics
from service.api.backend_client import BackendClient
from service.app.wiring import Core
from service.crash_reports.crash_reports import CrashReports
from service.engine.docker.own_container import find_own_container
from service.settings import Settings

log = get_logger(__name__)


def report_crashes(core: Core, metrics: Metrics, settings: Settings) -> CrashReports | None:
    """Report the crashes of jobs from now on; None if they are not to be reported."""
    if not settings.report_crashes:
        return None
    backend = BackendClient(settings.crash_target)
    reports = CrashReports(backend, core.registry, core.background, metrics)
    core.earlier.subscribe(reports.note)
    return reports


def warn_of_target(settings: Settings) -> None:
    """Log that the backend may not be where reports go: in a container, it may be elsewhere."""
    if not settings.report_crashes or settings.report_crashes_target:
        return
    own = find_own_container()
    if own.contained or own.ids:
        log.warning(
            "surroundings.noticed",
            about="REPORT_CRASHES_TARGET",
            meaning=f"it is not set, so crashes are reported to {settings.callback}: workers find"
            " the backend there, but the supervisor in its own container may not",
            helps="set REPORT_CRASHES_TARGET to HOST:PORT of the backend's port for workers, as"
            " seen from the supervisor's container",
        )
