"""The parts that do the work, put together around an engine."""

from dataclasses import dataclass, field

from observability.metrics import Metrics
from service.engine.base import Engine
from service.jobs.catalog import Catalog
from service.jobs.workload import Policy
from service.lifecycle.exit_hints import Signals
from service.lifecycle.killer import Killer
from service.lifecycle.launcher import Launcher
from service.lifecycle.reaper import Reaper
from service.lifecycle.removal import Remover
from service.lifecycle.use_cases import Supervisor
from service.reconcile.adopter import Adopter
from service.reconcile.comparison import Comparison
from service.reconcile.exclusivity import Rivals
from service.reconcile.janitor import Janitor
from service.reconcile.setup_warnings import Surroundings
from service.reconcile.watcher import Watcher
from service.state.admission import Admission, Bounds
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.support.tasks import Background

# At the start, requests wait for the end of what an earlier run left: so that gets no more (s).
_START_GRACE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How this supervisor works. Times are seconds."""

    policy: Policy
    keep: bool = False  # exited containers, as development does
    launch_timeout: float = 30.0
    adopt: bool = False  # at the start, what an earlier run left; otherwise it is removed
    orphan_grace: float = 60.0
    orphan_dry_run: bool = False
    bounds: Bounds = field(default_factory=Bounds)


class Core:
    """The use cases, and the watcher that keeps what they know true."""

    def __init__(
        self, engine: Engine, catalog: Catalog, metrics: Metrics, options: Options
    ) -> None:
        grace = options.policy.stop_grace
        for name, entry in catalog.items():
            metrics.describe_job(name, kind=entry.kind, ends=entry.ends_by_itself)
        self.readiness = readiness = Readiness(engine.title)
        self.registry = registry = Registry(metrics)
        self.background = background = Background()
        remover, signals = Remover(engine), Signals()
        self.reaper = reaper = Reaper(engine, remover, registry, background, keep=options.keep)
        launcher = Launcher(
            engine,
            remover,
            reaper,
            background,
            timeout=options.launch_timeout,
            count_names=options.keep,
        )
        self.supervisor = Supervisor(
            registry=registry,
            catalog=catalog,
            readiness=readiness,
            launcher=launcher,
            killer=Killer(
                engine=engine,
                registry=registry,
                reaper=reaper,
                signals=signals,
                readiness=readiness,
                background=background,
                metrics=metrics,
                grace=grace,
            ),
            admission=Admission(options.bounds, metrics),
            metrics=metrics,
            policy=options.policy,
        )
        adopter = Adopter(
            engine=engine,
            remover=remover,
            registry=registry,
            reaper=reaper,
            launcher=launcher,
            background=background,
            keep=options.keep,
            grace=grace,
        )
        janitor = Janitor(
            engine,
            remover,
            metrics,
            grace=min(grace, _START_GRACE),
            keep=options.keep,
            orphan_grace=options.orphan_grace,
            dry_run=options.orphan_dry_run,
        )
        self.watcher = Watcher(
            engine=engine,
            registry=registry,
            reaper=reaper,
            comparison=Comparison(
                registry=registry,
                reaper=reaper,
                launcher=launcher,
                adopter=adopter,
                janitor=janitor,
                signals=signals,
                background=background,
                metrics=metrics,
            ),
            adopter=adopter,
            janitor=janitor,
            rivals=Rivals(engine, options.policy.instance),
            surroundings=Surroundings(engine, options.policy),
            signals=signals,
            readiness=readiness,
            background=background,
            metrics=metrics,
            adopt=options.adopt,
        )
