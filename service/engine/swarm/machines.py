"""The nodes of tasks. Their names are requested once, their states only where they matter."""

from collections.abc import Iterable, Mapping

from service.engine.swarm.answers import Task
from service.engine.swarm.manager import Manager
from service.engine.swarm.tasks import Nodes, has_ended, is_ending
from service.errors import EngineError


class KnownNodes:
    """The nodes that are known. Any thread may use it."""

    def __init__(self) -> None:
        self._names: Mapping[str, str] = {}

    def of(self, manager: Manager, tasks: Iterable[Task]) -> Nodes:
        """The nodes of these tasks. Makes a request only if a node is new, or may be lost."""
        names = self._names
        if any(_may_be_lost(task) or _is_elsewhere(task, names) for task in tasks):
            found = manager.nodes()
            self._names = found.names
            return found
        return Nodes(names)

    def name(self, manager: Manager, task: Task) -> str:
        """The name of its node; the node's id if the manager cannot be asked."""
        try:
            return self.of(manager, [task]).name(task.NodeID)
        except (EngineError, OSError):  # those of `requests` are OSErrors
            return task.NodeID


def _may_be_lost(task: Task) -> bool:
    return is_ending(task) and not has_ended(task)


def _is_elsewhere(task: Task, names: Mapping[str, str]) -> bool:
    return bool(task.NodeID) and task.NodeID not in names
