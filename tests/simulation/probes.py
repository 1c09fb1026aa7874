"""The health checks of containers: when the first probe ends, and how."""

import random

from service.engine.events import Change, Event
from service.engine.workloads import Health, Status
from service.errors import NoSuchWorkload
from tests.fake_engine.host import FakeHost
from tests.simulation.virtual import VirtualLoop

# When the first probe ends, at the latest, and when it begins anew for what is paused (seconds).
_FIRST, _AGAIN = 1.5, 1.0


class Probes:
    """Listens to the host. A worker may be `--sick`, or `--silent`: then no probe ends."""

    def __init__(self, host: FakeHost, loop: VirtualLoop, chance: random.Random) -> None:
        self._host = host
        self._loop = loop
        self._chance = chance
        host.listeners.append(self._hear)

    def _hear(self, event: Event) -> None:
        if event.change is not Change.STARTED:
            return
        container = self._host.get(event.id)
        if container.health is Health.STARTING and container.option("--silent") is None:
            wait = self._chance.uniform(0, _FIRST)
            self._loop.call_later(wait, self._probe, event.id, container.started_at)

    def _probe(self, container_id: str, started_at: float) -> None:
        """Probe what still runs as it did, and has no other health by now."""
        try:
            container = self._host.get(container_id)
        except NoSuchWorkload:
            return
        same = container.status is Status.LIVE and container.started_at == started_at
        if not same or container.health is not Health.STARTING:
            return
        if container.paused:
            self._loop.call_later(_AGAIN, self._probe, container_id, started_at)
        else:
            self._host.probe(container_id, 0 if container.option("--sick") is None else 1)
