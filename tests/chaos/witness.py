"""Sees what the Engine says of our containers, beside the supervisor and in its own way."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import docker

from tests.chaos.ledger import Ledger
from tests.support.containers import PREFIX

_BEGINS, _ENDS = ("start",), ("die", "destroy")
_RETRY = 0.1


class Witness:
    """Keeps a ledger of the grouped containers of one instance."""

    def __init__(self, host: str, instance: str) -> None:
        self.lock = threading.Lock()
        self.ledger = Ledger()
        self._host = host
        self._filters: dict[str, Any] = {
            "type": "container",
            "label": [f"{PREFIX}instance={instance}", f"{PREFIX}kind=action"],
        }
        self._stream: Any = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="witness", daemon=True)

    def start(self) -> None:
        """Look on from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._stream is not None:
            with suppress(Exception):
                self._stream.close()
        self._thread.join(10)

    def _look_on(self) -> None:
        while not self._stopped.wait(_RETRY):
            with suppress(Exception):  # docker-py says in many ways that nobody is there
                self._follow()
            with self.lock:
                self.ledger.lost_sight(time.time())

    def _follow(self) -> None:
        client = docker.APIClient(self._host, version="1.41", timeout=10)
        try:
            self._stream = client.events(decode=True, filters=self._filters)
            self._list(client)
            for event in self._stream:
                self._take_down(event)
        finally:
            client.close()

    def _list(self, client: docker.APIClient) -> None:
        now = time.time()
        found = client.containers(filters={"label": self._filters["label"]})
        with self.lock:
            for item in found:
                self.ledger.began(item["Id"], item["Labels"][f"{PREFIX}identifier"], now)

    def _take_down(self, event: Mapping[str, Any]) -> None:
        container_id, labels = event["Actor"]["ID"], event["Actor"]["Attributes"]
        at = event["timeNano"] / 1e9
        with self.lock:
            if event["Action"] in _BEGINS:
                self.ledger.began(container_id, labels[f"{PREFIX}identifier"], at)
            elif event["Action"] in _ENDS:
                self.ledger.ended(container_id, at)
