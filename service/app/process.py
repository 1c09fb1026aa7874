"""The process: its start, its signals and its shutdown."""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import NoReturn

from opentelemetry.sdk.trace import TracerProvider

from observability.corrected_variables import Correction
from observability.log_writer import LogWriter
from observability.logs import configure_logs, get_logger
from observability.metrics import Metrics
from observability.tracing import configure_tracing, shut_down
from service import __version__
from service.access.reading import open_access, warn_of_patterns
from service.app import event_loop
from service.app.crash_reporting import report_crashes, warn_of_target
from service.app.diagnosing import outside
from service.app.engines import ENGINES, EngineKind, adapted
from service.app.live_catalog import LiveCatalog
from service.app.metric_labels import new_metrics
from service.app.ports import Ports
from service.app.process_setup import NO_END, STDOUT
from service.app.wiring import Core
from service.crash_reports.crash_reports import CrashReports
from service.engine.placeholder import EnginePlaceholder
from service.errors import StartError
from service.jobs.catalog_file import PACKAGED
from service.jobs.labels import INSTANCE_LABEL
from service.lifecycle.use_cases import Supervisor
from service.reconcile.single_instance import hold_instance
from service.reconcile.watcher import Watcher
from service.settings import Settings
from service.support.file_watcher import FileWatcher
from service.support.process_limits import SERVE_THREADS, raise_file_limit, require_threads

log = get_logger(__name__)

# A shutdown may take 15 s. Of these: calls under way, the last reports of crashes, the last jobs of
# the history, the last spans, the last log lines (seconds).
DRAIN_GRACE = 10.0
REPORTS_GRACE = 1.0
HISTORY_GRACE = 1.0
SPANS_GRACE = 0.5  # a working collector takes less; no port is open meanwhile
LOG_GRACE = 1.0
# What keeps strangers out (docs/tls.md).
_CLOSES = "ACCESS_FILE or GRPC_TLS_CLIENT_CA_FILE"
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# Some programs signal a process and then its group: signals within this time count as one
# (seconds).
_SAME_SIGNAL = 0.5


def serve(
    settings: Settings, corrections: Sequence[Correction], misspelt: Mapping[str, str]
) -> NoReturn:
    """Run the supervisor until SIGTERM, SIGINT or SIGQUIT; then exit 0. Raises `StartError`.

    First, log the corrected variables and those that look like misspelt settings.
    """
    require_threads(SERVE_THREADS)
    writer = LogWriter(STDOUT)
    configure_logs(level=settings.log_level, console=settings.console_logs, write=writer.write)
    for number in NO_END:
        signal.signal(number, _log_ignored_signal)
    try:
        _log_variables(corrections, misspelt)
        tracing = configure_tracing("area-supervisor", __version__, settings.supervisor_instance)
        code = event_loop.run(_Process(settings, tracing, writer).run())
    finally:
        writer.close(within=LOG_GRACE)
    # Not sys.exit: it would wait for threads, and one may wait for a hung Engine.
    os._exit(code)


def _log_variables(corrections: Sequence[Correction], misspelt: Mapping[str, str]) -> None:
    for each in corrections:
        log.warning(
            "setting.corrected",
            variable=each.variable,
            given=each.given,
            used=each.used,
            reason=each.reason,
        )
    for variable, nearest in misspelt.items():
        log.warning("setting.unknown", variable=variable, nearest=nearest)


class _Process:
    """All parts of the process, from its start to its exit code."""

    def __init__(self, settings: Settings, tracing: TracerProvider, writer: LogWriter) -> None:
        self._settings = adapted(settings)
        self._tracing = tracing
        self._writer = writer

    async def run(self) -> int:
        """Start, serve and stop. Return the exit code."""
        settings = self._settings
        kind = ENGINES[settings.supervisor_engine]
        files = FileWatcher()
        self._live = live = LiveCatalog(settings, kind.check, files)
        metrics = self._make_metrics(kind)
        access = open_access(settings, live.catalog, metrics, files)
        engine = EnginePlaceholder(kind.title)
        core = Core(engine.as_engine(), live.catalog, metrics, settings)
        crash_reports = report_crashes(core, metrics, settings)

        def note_new_catalog() -> None:
            core.note_new_catalog()
            if access:
                warn_of_patterns(access.clients, live.catalog)

        live.connect(metrics, note_new_catalog)
        self._readiness = core.readiness
        ports = Ports(core, metrics, settings, access, files)
        seen = outside(settings, live, access, ports.certificates, self._writer)
        core.observer.diagnosis.look_outside(seen)
        files.start()
        await ports.start()  # the slow parts of the start follow
        signalled = _handle_stop_signals()
        try:
            lock = self._open_engine(kind, engine, metrics)
        except StartError:
            await ports.stop(0)
            ports.close()
            raise
        core.history.start()
        event_loop.tune_garbage_collection()
        code = await self._until_stopped(core.watcher, ports, signalled)
        files.close()
        signal.signal(signal.SIGHUP, _log_ignored_signal)
        await self._drain(ports, core.supervisor)
        await self._finish(core, crash_reports, ports)
        await engine.as_engine().close()
        if lock is not None:
            lock.close()
        log.info("supervisor.stopped", code=code)
        return code

    def _make_metrics(self, kind: EngineKind) -> Metrics:
        mode = self._settings.go_env
        catalog = self._live.catalog
        metrics = new_metrics(catalog, version=__version__, engine=kind.name, mode=mode)
        self._writer.on_drop = metrics.log_lines_dropped.inc
        self._writer.on_recovery = _log_dropped_lines
        return metrics

    def _open_engine(
        self, kind: EngineKind, engine: EnginePlaceholder, metrics: Metrics
    ) -> socket.socket | None:
        """Load the engine's adapter, and take the lock on our instance. Raises `StartError`.

        None if others of our instance may use the engine, too.
        """
        instance = self._settings.supervisor_instance
        opened = kind.open({INSTANCE_LABEL: instance}, metrics, self._settings)
        lock = None
        if not opened.engine.capabilities.shared:
            lock = hold_instance(instance, opened.address, kind.title)
        engine.set(opened.engine)
        self._log_start(opened.shown)
        return lock

    async def _until_stopped(self, watcher: Watcher, ports: Ports, signalled: asyncio.Event) -> int:
        """Run until a signal, or until a part fails that has to run for ever. Return the code."""
        stopped = asyncio.create_task(signalled.wait(), name="signals")
        parts = [
            asyncio.create_task(watcher.run(), name="watcher"),
            asyncio.create_task(ports.run(), name="gRPC server"),
        ]
        self._parts = parts  # during the drain, kills under way still need the watcher's events
        await asyncio.wait((stopped, *parts), return_when=asyncio.FIRST_COMPLETED)
        ended = next((part for part in parts if part.done()), None)
        if ended is None:
            return 0
        error = ended.exception()
        if isinstance(error, StartError):
            log.critical("supervisor.refused", reason=str(error))
        else:
            log.critical("supervisor.crashed", part=ended.get_name(), exc_info=error)
        return 1

    async def _drain(self, ports: Ports, supervisor: Supervisor) -> None:
        log.info("supervisor.draining")
        self._readiness.drain()
        try:
            async with asyncio.timeout(DRAIN_GRACE + 1):
                await ports.stop(DRAIN_GRACE)
                await supervisor.finish()
        except TimeoutError:
            log.warning("supervisor.drain_cut_short", seconds=DRAIN_GRACE)

    async def _finish(self, core: Core, crash_reports: CrashReports | None, ports: Ports) -> None:
        """Send and write what is left, each for a limited time."""
        if crash_reports:
            await crash_reports.finish(within=REPORTS_GRACE)
        await core.history.close(within=HISTORY_GRACE)
        ports.close()  # before the spans: under a tight limit, its threads make room for one more
        shut_down(self._tracing, within=SPANS_GRACE)

    def _log_start(self, engine: str) -> None:
        settings = self._settings
        log.info(
            "supervisor.started",
            version=__version__,
            mode=settings.go_env,
            on_start=settings.supervisor_on_start,
            instance=settings.supervisor_instance,
            engine=engine,
            grpc_port=settings.grpc_server_port,
            metrics_port=settings.metrics_port,
            callback=settings.callback,
            network=settings.job_network,
            catalog=str((settings.job_catalog or PACKAGED).absolute()),
            jobs=len(self._live.catalog),
            max_running_jobs=settings.max_running_jobs,
            open_files=raise_file_limit(),
        )
        if settings.open_to_all:
            log.warning("security.open", grpc_port=settings.grpc_server_port, helps=_CLOSES)
        self._live.warn()
        warn_of_target(settings)


def _handle_stop_signals() -> asyncio.Event:
    """An event that the first stop signal sets. A later signal ends the process at once."""
    loop = asyncio.get_running_loop()
    received = asyncio.Event()

    def handle() -> None:
        received.set()
        for each in _STOP_SIGNALS:
            loop.call_later(_SAME_SIGNAL, loop.remove_signal_handler, each)

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, handle)
    return received


def _log_ignored_signal(number: int, _: object) -> None:
    """Handle a signal outside the event loop, so that it is ignored until the process exits."""
    log.warning("signal.ignored", signal=signal.Signals(number).name)


def _log_dropped_lines(lines: int) -> None:
    log.warning("log.dropped", lines=lines)
