"""Examines a manager of a Swarm for `area-supervisor doctor`."""

from collections.abc import Collection
from dataclasses import replace

from service.engine.configuration import Offers, Trait
from service.engine.docker.error_mapping import translated_errors
from service.engine.docker.examiner import DockerExaminer
from service.engine.examiner import EngineFacts
from service.engine.swarm.manager import Manager
from service.engine.swarm.setup_check import check_swarm
from service.engine.swarm.specs import can_gain_privileges

_OF_EACH_NODE = ("host", "bridge")


class SwarmExaminer(DockerExaminer):
    """Asks the manager's own engine, too. Nothing is asked of other nodes."""

    def facts(self) -> EngineFacts:
        """See `Examiner`. Runtimes and log drivers are each node's own."""
        with translated_errors("info", ""):
            check_swarm(self._client())
            gains = can_gain_privileges(self._client().api_version)
            nodes = Manager(self._client()).nodes()
        traits = frozenset({Trait.GAINS_PRIVILEGES} if gains else ())
        lost = sorted(map(nodes.name, nodes.lost))
        return replace(super().facts(), traits=traits, offers=Offers(), lost_nodes=lost)

    def networks(self) -> Collection[str]:
        """See `Examiner`. Those of the Swarm, and those that each node has."""
        return [n.Name for n in self._networks() if n.Scope == "swarm" or n.Name in _OF_EACH_NODE]
