"""Whether the program of a container runs, or only the init that could not run it.

A manager does not list the processes of a container. An init that cannot run the program prints
why and ends at once, so a launch waits for a moment, once for each image.
"""

import time
from collections.abc import Callable

from service.engine.docker.start_check import (
    MAYBE_NOT_RUN,
    Program,
    advice,
    obstacle_in,
    program_of,
)
from service.engine.swarm.answers import Task, TaskState
from service.engine.swarm.tasks import exit_code
from service.engine.workload_spec import WorkloadSpec
from service.errors import EngineError, EngineRefused

# How long a running task is watched (seconds). An init that fails ends within 0.1 s.
_WATCHED = 0.5
_LOOK = 0.1
_LINES = 20


class Beginnings:
    """Finds out whether the program of a launch runs. Any thread may call it."""

    def __init__(self) -> None:
        self._trusted: set[Program] = set()

    def confirm(
        self,
        spec: WorkloadSpec,
        look: Callable[[], Task | None],
        words: Callable[[int], str],
    ) -> None:
        """Return once the program has begun. Raises `EngineRefused`, with the reason, if not.

        `look` returns the task, which runs or has run; `words` returns its last lines.
        """
        program = program_of(spec)
        if program in self._trusted:
            return
        task = self._settled(look)
        if task is not None and exit_code(task) in MAYBE_NOT_RUN:
            self._check(spec, words)
        self._trusted.add(program)

    def distrust(self, image: str) -> None:
        """Check an image again, after an exit that may mean that the image has changed."""
        self._trusted = {each for each in self._trusted if each.image != image}

    def _settled(self, look: Callable[[], Task | None]) -> Task | None:
        end = time.monotonic() + _WATCHED
        while (task := look()) and task.state is TaskState.RUNNING and time.monotonic() < end:
            time.sleep(_LOOK)
        return task

    def _check(self, spec: WorkloadSpec, words: Callable[[int], str]) -> None:
        try:
            obstacle = obstacle_in(words(_LINES), lambda: "the program")
        except EngineError:  # the exit is noticed later
            return
        if obstacle:
            reason = spec.redact(obstacle + advice(obstacle, spec))
            raise EngineRefused(f"the program of {spec.name} cannot be run: {reason}")
