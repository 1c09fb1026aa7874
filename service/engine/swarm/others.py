"""Finds what else runs with certain labels: services, and containers on the manager's machine."""

from collections.abc import Iterator, Mapping

from service.engine.docker.client import Client, label_filter
from service.engine.docker.own_container import OwnContainer
from service.engine.docker.parsing import read
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.swarm.answers import Task
from service.engine.swarm.manager import Manager
from service.engine.workloads import Status

_TASK_LABEL = "com.docker.swarm.task.id"


def names_of_others(
    client: Client, labels: Mapping[str, str], here: OwnContainer, reader: TolerantReader
) -> Iterator[str]:
    """The names of everything that runs with these labels, except this process. It blocks."""
    manager = Manager(client)
    services = {service.ID: service.name for service in manager.services(labels)}
    for task in (read(Task, item) for item in manager.each_task(labels)):
        if task.runs and not here.may_be(task.container):
            yield services.get(task.ServiceID, task.ServiceID)
    for each in reader.workloads(client.each_container(label_filter(labels))):
        alone = each.status is Status.LIVE and _TASK_LABEL not in each.labels
        if alone and not here.may_be(each.id, each.network_of):
            yield each.name
