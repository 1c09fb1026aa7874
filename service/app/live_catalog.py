"""The catalogue in use. A change of its file replaces it while the process runs."""

import asyncio
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

from observability.logs import get_logger
from observability.metrics import Metrics
from service.errors import StartError
from service.jobs.catalog import Catalog
from service.jobs.catalog_file import load_catalog
from service.settings import Settings
from service.support.file_watcher import FileWatcher

log = get_logger(__name__)

T = TypeVar("T")

# For an image that each launch pulls.
_STEADY = 'name a version or a digest, or set pull = "missing"'
# How many job names of one sort an event has.
_MOST_NAMES = 20


class LiveCatalog:
    """Reads the file at the start, after each change, and at SIGHUP.

    A file with a fault is refused as a whole, and the catalogue stays as it is.
    """

    def __init__(
        self, settings: Settings, check: Callable[[Settings, Catalog], None], files: FileWatcher
    ) -> None:
        """Read the file. `check` raises `StartError` if the engine cannot do what it asks for."""
        self._settings, self._check = settings, check
        self.fault = ""  # of the file as it is now, if it is refused
        self._ask: Callable[[], None] | None = None
        if settings.job_catalog:  # the packaged one is as fixed as the code
            self._ask = files.watch([settings.job_catalog], self._read_again)
        self.catalog = self._read()

    def connect(self, metrics: Metrics, on_change: Callable[[], None]) -> None:
        """Have this called after each change of the catalogue, on the event loop that runs now.

        Call this before the files are watched.
        """
        self._metrics, self._on_change = metrics, on_change
        self._loop = asyncio.get_running_loop()
        self._note_success()
        if ask := self._ask:
            # Not a handler of the loop: once that is closed, the signal would end the process.
            signal.signal(signal.SIGHUP, lambda *_: ask())

    def warn(self) -> None:
        """Log which jobs cannot run, or may run another program each time."""
        for job in self.catalog.without_room:
            log.warning("catalog.too_few_pids", job=job)
        for image in self.catalog.moving_images if self._settings.production else ():
            log.warning("catalog.moving_tag", image=image, helps=_STEADY)

    def _read(self) -> Catalog:
        catalog = load_catalog(self._settings.job_catalog)
        self._check(self._settings, catalog)
        return catalog

    def _read_again(self) -> None:
        """Runs in the watcher's thread, where a long file holds nothing up."""
        try:
            catalog = self._read()
        except StartError as error:
            self._post(self._refuse, str(error))
        else:
            self._metrics.make_series(catalog)  # in this thread: there may be thousands
            self._post(self._use, catalog)

    def _post(self, function: Callable[[T], None], argument: T) -> None:
        """Have it called on the loop, after what was posted before."""
        with suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(function, argument)

    def _refuse(self, reason: str) -> None:
        self.fault = reason
        self._metrics.catalog_reload_success.set(0)
        log.error("catalog.refused", reason=reason)

    def _use(self, newer: Catalog) -> None:
        before = Catalog(self.catalog)
        self.catalog.replace(newer)
        self._on_change()
        self._note_success()
        common = before.keys() & newer.keys()
        log.info(
            "catalog.read",
            jobs=len(newer),
            added=_some(newer.keys() - before.keys()),
            removed=_some(before.keys() - newer.keys()),
            changed=_some({name for name in common if before[name] != newer[name]}),
        )
        self.warn()

    def _note_success(self) -> None:
        self.fault = ""
        self._metrics.catalog_reload_success.set(1)
        self._metrics.catalog_reload_success_at.set_to_current_time()


def _some(names: Iterable[str]) -> Sequence[str]:
    return sorted(names)[:_MOST_NAMES]
