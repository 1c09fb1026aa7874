"""A manager's HTTP API without a library: the lower bound for launches and kills on a Swarm."""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.bare_engine import OTHER_INSTANCE, Api
from benchmarks.calls import identifier_of

_AT_ONCE = 16
# Between two looks at a task (seconds). With shorter pauses, fewer services come to run each
# second: unlike the supervisor's, each look is at one service.
_LOOK = 0.3


class BareSwarm:
    """Makes services, and waits until their tasks run; removes them until no task is left."""

    def __init__(self, path: Path) -> None:
        self._call = Api(path).call
        self._made: list[str] = []
        self._spec: dict[str, Any] = {}

    def copy_spec(self) -> None:
        """Use the spec of the only service for all launches."""
        (service,) = self._call("GET", "/services")
        spec = service["Spec"]
        self._spec = {**spec, "Labels": spec["Labels"] | OTHER_INSTANCE}

    def launch(self, number: int) -> None:
        """Make a service, and return when its task runs."""
        spec = self._spec | {"Name": f"bare-{identifier_of(number)}"}
        service: str = self._call("POST", "/services/create", spec)["ID"]
        self._made.append(service)
        while not any(state == "running" for state in self._states([service])):
            time.sleep(_LOOK)

    def end_all(self) -> None:
        """Remove all that was made, and return when no task of it is left."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda each: self._call("DELETE", f"/services/{each}"), self._made))
        self._made.clear()
        while self._tasks({"label": [f"{key}={value}" for key, value in OTHER_INSTANCE.items()]}):
            time.sleep(_LOOK)

    def _states(self, services: Sequence[str]) -> Sequence[str]:
        return [task["Status"]["State"] for task in self._tasks({"service": services})]

    def _tasks(self, filters: Mapping[str, Sequence[str]]) -> Sequence[Any]:
        found: Sequence[Any] = self._call("GET", f"/tasks?filters={quote(json.dumps(filters))}")
        return found
