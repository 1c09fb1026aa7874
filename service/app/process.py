"""The wiring of the process, its start and its end."""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import NoReturn

from opentelemetry.sdk.trace import TracerProvider

from observability.corrections import Correction
from observability.http import HttpEndpoint, every_interface
from observability.log_writer import LogWriter
from observability.logs import configure_logs, get_logger
from observability.metrics import Metrics
from observability.pages import Probe
from observability.tracing import configure_tracing, shut_down
from service import __version__
from service.api.jobs_service import Servicer
from service.api.server import GrpcServer, binding
from service.app import event_loop
from service.app.engines import ENGINES, EngineKind
from service.app.metric_labels import new_metrics
from service.app.process_setup import NO_END, STDOUT
from service.app.wiring import Core
from service.engine.late import LateEngine
from service.errors import StartError
from service.jobs.catalog import PACKAGED, Catalog, load_catalog
from service.jobs.workload import INSTANCE_LABEL
from service.lifecycle.use_cases import Supervisor
from service.reconcile.exclusivity import hold_instance
from service.reconcile.watcher import Watcher
from service.settings import Settings
from service.support.process_limits import SERVE_THREADS, raise_file_limit, require_threads

log = get_logger(__name__)

_ENGINE = "docker"
# Of the 15 s that a stop may take: for calls under way, for the last spans, and for the last lines
# of the log (seconds).
DRAIN_GRACE = 10.0
SPANS_GRACE = 0.5  # a collector that answers does so in less; nobody listens meanwhile
LOG_GRACE = 1.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# Some programs signal a process and then its whole group: twice within this time is once.
_SAME_SIGNAL = 0.5


def serve(
    settings: Settings, corrections: Sequence[Correction], misspelt: Mapping[str, str]
) -> NoReturn:
    """Run the supervisor until SIGTERM, SIGINT or SIGQUIT; then exit 0. Raises `StartError`.

    What of the environment was corrected, and what of it is no setting, are told first.
    """
    require_threads(SERVE_THREADS)
    writer = LogWriter(STDOUT)
    configure_logs(level=settings.log_level, console=settings.console_logs, write=writer.write)
    for number in NO_END:
        signal.signal(number, _tell_ignored)
    try:
        _tell(corrections, misspelt)
        catalog = load_catalog(settings.job_catalog)
        tracing = configure_tracing("area-supervisor", __version__, settings.supervisor_instance)
        code = event_loop.run(_Process(settings, catalog, tracing, writer).run())
    finally:
        writer.close(within=LOG_GRACE)
    # Not sys.exit: a thread that waits for a hung Engine must not hold up the end.
    os._exit(code)


def _tell(corrections: Sequence[Correction], misspelt: Mapping[str, str]) -> None:
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
    """Everything that runs, put together."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        tracing: TracerProvider,
        writer: LogWriter,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._tracing = tracing
        self._writer = writer

    async def run(self) -> int:
        """Start, work, and stop; the exit code."""
        settings = self._settings
        kind, mode = ENGINES[_ENGINE], settings.go_env
        metrics = new_metrics(self._catalog, version=__version__, engine=kind.name, mode=mode)
        self._writer.on_drop = metrics.log_lines_dropped.inc
        self._writer.on_recovery = _tell_dropped
        engine = LateEngine(kind.title)
        core = Core(engine.as_engine(), self._catalog, metrics, settings)
        self._readiness = core.readiness
        servicer = Servicer(core.supervisor, core.readiness, metrics)
        # Both ports before any container: a second supervisor must not clean up after the first.
        server = GrpcServer(
            self._address(),
            settings.grpc_server_port,
            [servicer.as_service()],
            metrics,
            launches=settings.max_launches,
        )
        core.readiness.subscribe(server.health.set_ready)
        core.readiness.subscribe(
            lambda _: server.health.set_alive(alive=not core.readiness.hopeless)
        )
        core.readiness.subscribe(metrics.ready.set)
        http = self._http(metrics)
        await server.start()
        http.start()
        # From here on calls wait, and are not refused: what takes its time comes now.
        signalled = _heed_signals()
        try:
            lock = self._open_engine(kind, engine, metrics)
        except StartError:
            await server.stop(0)
            http.close()
            raise
        event_loop.set_up_garbage_collections()
        code = await self._until_stopped(core.watcher, server, signalled)
        await self._drain(server, core.supervisor)
        http.close()  # whose threads make room for the next one, where they are few
        shut_down(self._tracing, within=SPANS_GRACE)
        await engine.as_engine().close()
        lock.close()
        log.info("supervisor.stopped", code=code)
        return code

    def _open_engine(self, kind: EngineKind, engine: LateEngine, metrics: Metrics) -> socket.socket:
        """Load the engine's adapter, and take the lock on our instance. Raises `StartError`."""
        instance = self._settings.supervisor_instance
        launches = self._settings.max_launches_under_way
        opened = kind.open({INSTANCE_LABEL: instance}, metrics, launches)
        lock = hold_instance(instance, opened.address, kind.title)
        engine.name(opened.engine)
        self._say_hello(opened.shown)
        return lock

    def _http(self, metrics: Metrics) -> HttpEndpoint:
        port = self._settings.metrics_port
        turns = _turns(asyncio.get_running_loop())
        probes = {"/livez": self._alive(turns), "/readyz": self._ready}
        with binding("METRICS_PORT", self._address(), port):
            return HttpEndpoint(self._address(), port, metrics.registry, probes)

    def _alive(self, turns: Probe) -> Probe:
        """Whether a new start of the process would not help."""

        async def probe() -> tuple[bool, str]:
            if self._readiness.hopeless:
                return False, self._readiness.reason
            return await turns()

        return probe

    async def _ready(self) -> tuple[bool, str]:
        return self._readiness.ready, self._readiness.reason

    def _address(self) -> str:
        return str(self._settings.bind_address or every_interface())

    async def _until_stopped(
        self, watcher: Watcher, server: GrpcServer, signalled: asyncio.Event
    ) -> int:
        """Work until a signal, or until a part that has to run for ever ends."""
        stopped = asyncio.create_task(signalled.wait(), name="signals")
        parts = [
            asyncio.create_task(watcher.run(), name="watcher"),
            asyncio.create_task(server.run(), name="gRPC server"),
        ]
        self._parts = parts  # kills under way still need the watcher's news during the drain
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

    async def _drain(self, server: GrpcServer, supervisor: Supervisor) -> None:
        log.info("supervisor.draining")
        self._readiness.drain()
        try:
            async with asyncio.timeout(DRAIN_GRACE + 1):
                await server.stop(DRAIN_GRACE)
                await supervisor.finish()
        except TimeoutError:
            log.warning("supervisor.drain_cut_short", seconds=DRAIN_GRACE)

    def _say_hello(self, engine: str) -> None:
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
            jobs=len(self._catalog),
            open_files=raise_file_limit(),
        )
        for job in self._catalog.without_room:
            log.warning("catalog.too_few_pids", job=job)


def _heed_signals() -> asyncio.Event:
    """What a signal to stop sets from now on; a later one ends the process at once."""
    loop = asyncio.get_running_loop()
    received = asyncio.Event()

    def heed() -> None:
        received.set()
        for each in _STOP_SIGNALS:
            loop.call_later(_SAME_SIGNAL, loop.remove_signal_handler, each)

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, heed)
    return received


def _tell_ignored(number: int, _: object) -> None:
    """A handler, and none of the event loop: it holds until the process has ended."""
    log.warning("signal.ignored", signal=signal.Signals(number).name)


def _tell_dropped(lines: int) -> None:
    log.warning("log.dropped", lines=lines)


def _turns(loop: asyncio.AbstractEventLoop) -> Probe:
    """Whether the event loop, which does all the work, still turns. To be asked from another."""

    async def probe() -> tuple[bool, str]:
        turn = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop)
        try:
            await asyncio.wait_for(asyncio.wrap_future(turn), timeout=2)
        except TimeoutError:
            return False, "the event loop does not answer"
        return True, "alive"

    return probe
