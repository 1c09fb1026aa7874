"""Creates the parts of the core around an engine, and connects them."""

from observability.metrics import Metrics
from service.diagnosis.live import Live
from service.diagnosis.recent_ends import RecentEnds
from service.engine.base import Engine
from service.history.history import History
from service.jobs.catalog import Catalog
from service.jobs.model import Job, State
from service.lifecycle.abandoned_launches import AbandonedLaunches
from service.lifecycle.adoption import Adoption
from service.lifecycle.exit_hints import Signals
from service.lifecycle.health_waits import HealthWaits
from service.lifecycle.image_pulls import ImagePulls
from service.lifecycle.killer import Killer
from service.lifecycle.launch_tasks import LaunchTasks
from service.lifecycle.launch_waits import LaunchWaits
from service.lifecycle.launcher import Launcher
from service.lifecycle.other_supervisors import OtherSupervisors
from service.lifecycle.predecessors import Predecessors
from service.lifecycle.reaper import Reaper
from service.lifecycle.removal import Remover
from service.lifecycle.restarter import Restarter
from service.lifecycle.run_ends import RunEnds
from service.lifecycle.successors import Successors
from service.lifecycle.surplus_workloads import SurplusWorkloads
from service.lifecycle.time_limits import TimeLimits
from service.lifecycle.unhealthy_jobs import UnhealthyJobs
from service.lifecycle.use_cases import Supervisor
from service.observe.cordoning import Cordoning
from service.observe.diagnosis import Diagnosis
from service.observe.jobs import Jobs
from service.observe.logs import JobLogs
from service.observe.names import JobNames
from service.observe.observer import Observer
from service.observe.stats import JobStats
from service.observe.watching import Watching
from service.reconcile.adopter import Adopter
from service.reconcile.comparison import Comparison
from service.reconcile.earlier_jobs import EarlierJobs
from service.reconcile.events import EventHandler
from service.reconcile.janitor import Janitor
from service.reconcile.retention import Retention
from service.reconcile.setup_warnings import SetupWarnings
from service.reconcile.single_instance import SingleInstance
from service.reconcile.watcher import Watcher
from service.settings import Settings
from service.state.admission import Admission
from service.state.changes import Journal
from service.state.cordon import Cordon
from service.state.pending_launches import Launches
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.state.rooms import Rooms
from service.support.tasks import Background


class Core:
    """The use cases, and the watcher that keeps their state in step with the engine."""

    def __init__(
        self, engine: Engine, catalog: Catalog, metrics: Metrics, settings: Settings
    ) -> None:
        self._engine, self._metrics, self._settings = engine, metrics, settings
        self._catalog = catalog
        self._describe_jobs()
        self.readiness = Readiness(engine.title)
        self.registry, self.journal = Registry(metrics), Journal()
        self.history = History(metrics, settings)
        self.registry.subscribe_to_changes(self._keep_ended)
        self.registry.subscribe_to_changes(self.journal.record)
        self.earlier = EarlierJobs(engine=engine, settings=settings)
        self.earlier.subscribe(self.history.add)
        self.cordon = Cordon(metrics)
        self.background = Background()
        self._remover, self._signals = Remover(engine), Signals()
        self._others = OtherSupervisors(engine, self.registry, settings)
        self._surplus = SurplusWorkloads(engine, self._remover, self.background, settings)
        self._predecessors = Predecessors(engine, self._remover, self.registry, self._surplus)
        self.reaper = Reaper(
            engine,
            self._remover,
            self.registry,
            others=self._others,
            predecessors=self._predecessors,
            background=self.background,
            settings=settings,
        )
        self._abandoned = AbandonedLaunches(engine, self._remover, self.registry, self.background)
        self._adoption = Adoption(
            engine,
            self.registry,
            reaper=self.reaper,
            others=self._others,
            background=self.background,
        )
        self._runs = RunEnds(engine, self.registry, reaper=self.reaper, settings=settings)
        TimeLimits(self.registry, runs=self._runs, background=self.background)
        UnhealthyJobs(self.registry, runs=self._runs, background=self.background)
        self.supervisor = self._make_supervisor(catalog)
        self.watcher = self._make_watcher(catalog)
        self.observer = self._make_observer()

    def note_new_catalog(self) -> None:
        """Have all parts know that the catalogue has changed. What runs stays as it is."""
        self._metrics.make_series(self._catalog)
        self.registry.know_jobs(self._catalog.keys())
        self._describe_jobs()
        self.supervisor.launch_tasks.note_new_catalog()
        self.watcher.note_new_catalog()

    def _keep_ended(self, job: Job) -> None:
        if job.state is State.GONE and job.started_at is not None:  # or its launch has failed
            self.history.add(job)

    def _describe_jobs(self) -> None:
        for name, entry in self._catalog.items():
            self._metrics.describe_job(name, kind=entry.kind, ends=entry.ends_by_itself)

    def _make_supervisor(self, catalog: Catalog) -> Supervisor:
        admission = Admission(catalog, self._settings, self._metrics)
        launches = Launches(admission)
        rooms = Rooms(self.registry, catalog, self._settings, self._metrics)
        Restarter(
            engine=self._engine,
            reaper=self.reaper,
            registry=self.registry,
            readiness=self.readiness,
            admission=admission,
            abandoned=self._abandoned,
            successors=Successors(self._engine, self._settings),
            predecessors=self._predecessors,
            background=self.background,
            settings=self._settings,
        )
        return Supervisor(
            registry=self.registry,
            catalog=catalog,
            readiness=self.readiness,
            engine=self._engine,
            launches=launches,
            launch_tasks=self._make_launch_tasks(launches, admission, rooms),
            adoption=self._adoption,
            abandoned=self._abandoned,
            killer=self._make_killer(launches),
            admission=admission,
            cordon=self.cordon,
            metrics=self._metrics,
            settings=self._settings,
        )

    def _make_observer(self) -> Observer:
        return Observer(
            jobs=Jobs(self.registry, self.readiness, self._engine, self.history),
            names=JobNames(self._catalog),
            watching=Watching(self.journal, self.registry, self.readiness, self._metrics),
            logs=JobLogs(self._engine, self.registry),
            stats=JobStats(self._engine, self.registry),
            cordoning=Cordoning(self.cordon),
            diagnosis=Diagnosis(self._make_live()),
        )

    def _make_live(self) -> Live:
        return Live(
            registry=self.registry,
            readiness=self.readiness,
            cordon=self.cordon,
            admission=self.supervisor.admission,
            rooms=self.supervisor.launch_tasks.rooms,
            history=self.history,
            ends=RecentEnds(self.registry),
            catalog=self._catalog,
            settings=self._settings,
            stuck_removals=lambda: self.watcher.janitor.stuck,
        )

    def _make_launch_tasks(
        self, launches: Launches, admission: Admission, rooms: Rooms
    ) -> LaunchTasks:
        return LaunchTasks(
            registry=self.registry,
            readiness=self.readiness,
            waits=self._make_launch_waits(launches, rooms),
            launcher=self._make_launcher(),
            pulls=ImagePulls(self._engine, self._metrics, self._settings),
            launches=launches,
            adoption=self._adoption,
            health_waits=self._make_health_waits(),
            admission=admission,
            rooms=rooms,
            metrics=self._metrics,
        )

    def _make_launch_waits(self, launches: Launches, rooms: Rooms) -> LaunchWaits:
        return LaunchWaits(
            registry=self.registry,
            readiness=self.readiness,
            launches=launches,
            rooms=rooms,
            settings=self._settings,
        )

    def _make_health_waits(self) -> HealthWaits:
        return HealthWaits(
            engine=self._engine,
            registry=self.registry,
            runs=self._runs,
            readiness=self.readiness,
            background=self.background,
            settings=self._settings,
        )

    def _make_launcher(self) -> Launcher:
        return Launcher(
            engine=self._engine,
            remover=self._remover,
            reaper=self.reaper,
            registry=self.registry,
            adoption=self._adoption,
            abandoned=self._abandoned,
            surplus=self._surplus,
            background=self.background,
            settings=self._settings,
        )

    def _make_killer(self, launches: Launches) -> Killer:
        return Killer(
            engine=self._engine,
            registry=self.registry,
            launches=launches,
            reaper=self.reaper,
            abandoned=self._abandoned,
            signals=self._signals,
            readiness=self.readiness,
            background=self.background,
            metrics=self._metrics,
            settings=self._settings,
        )

    def _make_watcher(self, catalog: Catalog) -> Watcher:
        adopter = self._make_adopter()
        janitor = Janitor(
            self._engine, self._remover, self._metrics, self._settings, earlier=self.earlier
        )
        return Watcher(
            engine=self._engine,
            registry=self.registry,
            comparison=self._make_comparison(adopter, janitor),
            events=self._make_event_handler(adopter),
            adopter=adopter,
            janitor=janitor,
            single_instance=SingleInstance(self._engine, self._settings),
            setup_warnings=SetupWarnings(self._engine, catalog, self._settings),
            readiness=self.readiness,
            background=self.background,
            metrics=self._metrics,
            settings=self._settings,
        )

    def _make_adopter(self) -> Adopter:
        return Adopter(
            engine=self._engine,
            remover=self._remover,
            registry=self.registry,
            adoption=self._adoption,
            abandoned=self._abandoned,
            surplus=self._surplus,
            background=self.background,
            settings=self._settings,
        )

    def _make_event_handler(self, adopter: Adopter) -> EventHandler:
        return EventHandler(
            engine=self._engine,
            registry=self.registry,
            reaper=self.reaper,
            adopter=adopter,
            adoption=self._adoption,
            signals=self._signals,
            others=self._others,
            background=self.background,
        )

    def _make_comparison(self, adopter: Adopter, janitor: Janitor) -> Comparison:
        return Comparison(
            registry=self.registry,
            reaper=self.reaper,
            abandoned=self._abandoned,
            adopter=adopter,
            janitor=janitor,
            retention=self._make_retention(),
            signals=self._signals,
            background=self.background,
            metrics=self._metrics,
        )

    def _make_retention(self) -> Retention:
        return Retention(self._engine, self._remover, self.registry, self._metrics, self._settings)
