"""Facts that only the process knows, for Diagnose: faults of files, certificates, the log."""

from collections.abc import Callable, Sequence

from observability.log_writer import LogWriter
from service.access.access import Access
from service.app.engines import open_examiner
from service.app.live_catalog import LiveCatalog
from service.diagnosis.live import Outside, PortCertificate
from service.settings import Settings


def outside(
    settings: Settings,
    live: LiveCatalog,
    access: Access | None,
    certificates: Callable[[], Sequence[PortCertificate]],
    writer: LogWriter,
) -> Outside:
    """Tell what is wrong with files and with the log, as long as it is."""
    return Outside(
        catalogue_fault=lambda: live.fault,
        access_fault=lambda: access.fault if access else "",
        certificates=certificates,
        log_is_full=lambda: writer.drops,
        examine=lambda: open_examiner(settings),
    )
