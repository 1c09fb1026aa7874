"""The nodes that tasks are on. Their names are asked for once, their states where they matter."""

from collections.abc import Iterable, Mapping

from service.engine.swarm.answers import Task
from service.engine.swarm.manager import Manager
from service.engine.swarm.tasks import Nodes, has_ended, is_ending
from service.errors import EngineError


class KnownNodes:
    """What is known of the nodes; for any thread."""

    def __init__(self) -> None:
        self._names: Mapping[str, str] = {}

    def of(self, manager: Manager, tasks: Iterable[Task]) -> Nodes:
        """What there is to know for these tasks: a request only if one may be lost, or is new."""
        names = self._names
        if any(_may_be_lost(task) or _is_elsewhere(task, names) for task in tasks):
            found = manager.nodes()
            self._names = found.names
            return found
        return Nodes(names)

    def name(self, manager: Manager, task: Task) -> str:
        """The name of its node; the node's id if nobody can be asked."""
        try:
            return self.of(manager, [task]).name(task.NodeID)
        except (EngineError, OSError):  # those of `requests` are OSErrors
            return task.NodeID


def _may_be_lost(task: Task) -> bool:
    return is_ending(task) and not has_ended(task)


def _is_elsewhere(task: Task, names: Mapping[str, str]) -> bool:
    return bool(task.NodeID) and task.NodeID not in names
