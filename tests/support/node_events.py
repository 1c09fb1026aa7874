"""When containers run, by the events of the machines that they run on."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import docker

from tests.support.swarm import SwarmNode


class Running:
    """What has run at which time, on all machines; their clock is one."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._events: list[Mapping[str, Any]] = []

    def hear(self, event: Mapping[str, Any]) -> None:
        """Note an event."""
        if self._label in event["Actor"]["Attributes"]:
            self._events.append(event)

    def most_at_once(self) -> Mapping[str, int]:
        """For each value of the label, how many containers with it have run at one time at most."""
        running: defaultdict[str, set[str]] = defaultdict(set)
        most: defaultdict[str, int] = defaultdict(int)
        for event in sorted(self._events, key=lambda each: each["timeNano"]):
            value = event["Actor"]["Attributes"][self._label]
            if event["Action"] == "start":
                running[value].add(event["Actor"]["ID"])
                most[value] = max(most[value], len(running[value]))
            else:
                running[value].discard(event["Actor"]["ID"])
        return most

    @property
    def starts(self) -> int:
        """How many containers have been started."""
        return sum(event["Action"] == "start" for event in self._events)


@contextmanager
def watching(nodes: Sequence[SwarmNode], label: str) -> Iterator[Running]:
    """Follow the starts and ends on machines until the end of this."""
    running = Running(label)
    clients = [docker.DockerClient(node.host) for node in nodes]
    filters = {"type": "container", "event": ["start", "die"]}
    streams = [client.api.events(filters=filters, decode=True) for client in clients]
    threads = [threading.Thread(target=_drain, args=(s, running), daemon=True) for s in streams]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        for stream, client in zip(streams, clients, strict=True):
            with suppress(Exception):  # docker-py has many ways to say that it is closed
                stream.close()
            client.close()
        for thread in threads:
            thread.join(10)


def _drain(stream: Iterator[Mapping[str, Any]], running: Running) -> None:
    with suppress(Exception):  # likewise
        for event in stream:
            running.hear(event)
