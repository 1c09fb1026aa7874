"""What a check-up of a supervisor's surroundings looks at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from observability.corrected_variables import Correction
from service.diagnosis.checks import Skip
from service.diagnosis.seen import Inside
from service.engine.examiner import EngineFacts, Examiner
from service.errors import EngineError, StartError
from service.jobs.catalog import Catalog
from service.settings import Settings
from service.support.tls_files import TlsFiles


class Environment(NamedTuple):
    """The settings, and what was odd about their variables."""

    settings: Settings
    corrections: Sequence[Correction]
    misspelt: Mapping[str, str]  # with the nearest setting


@dataclass(kw_only=True)
class Case:
    """Everything that checks need. Each of the functions may raise `StartError`."""

    read: Callable[[], Environment]
    check_catalog: Callable[[Settings, Catalog], None]  # whether it fits the engine
    tls_files: Callable[[Settings], Mapping[str, TlsFiles]]  # by port
    open: Callable[[Settings | None], Examiner]
    is_supervisor: Callable[[Settings, str], bool]  # whether one has the port of a setting
    runs_containers: bool = True  # whether a container may be run to look from inside of it
    in_container: bool = False  # whether this process is in one
    catalog: Catalog | None = None  # once it is known to be in order
    seen: dict[str, Inside | str] = field(default_factory=dict)  # from inside, by network
    _facts: EngineFacts | None = field(default=None, init=False)

    @cached_property
    def environment(self) -> Environment:
        """Raises `StartError`."""
        return self.read()

    @property
    def settings(self) -> Settings:
        """Raises `Skip` if they are not in order."""
        try:
            return self.environment.settings
        except StartError:
            raise Skip("not checked, because the settings are not in order") from None

    @cached_property
    def examiner(self) -> Examiner:
        """Raises `StartError`."""
        try:
            settings = self.environment.settings
        except StartError:
            settings = None
        return self.open(settings)

    def find_facts(self) -> EngineFacts:
        """Ask the engine. Raises `StartError` and `EngineError`s."""
        self._facts = self.examiner.facts()
        return self._facts

    @property
    def facts(self) -> EngineFacts:
        """The facts about the engine. Raises `Skip` if it did not answer."""
        if self._facts is None:
            raise Skip("not checked, because the Engine could not be asked")
        return self._facts

    @property
    def engine(self) -> Examiner:
        """An engine that answers. Raises `Skip`."""
        assert self.facts
        return self.examiner

    @property
    def known_catalog(self) -> Catalog:
        """Raises `Skip` if it is not in order."""
        if self.catalog is None:
            raise Skip("not checked, because the catalogue is not in order")
        return self.catalog

    @property
    def instance(self) -> str:
        return self.settings.supervisor_instance

    @property
    def on_swarm(self) -> bool:
        return self.settings.supervisor_engine == "swarm"

    def serving(self, label: str) -> Sequence[str]:
        """The names of live containers that serve our instance, by the label that says so."""
        try:
            found = self.engine.workloads({label: self.instance})
        except (Skip, EngineError):
            return []
        return [each.name for each in found if each.status.value == "live"]
