"""A request, and the state in which it was made."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from tests.simulation.life import Life
from tests.simulation.steps import Request


@dataclass(slots=True)
class Asked:
    """A request, and the state in which it was made."""

    act: Request
    at: float
    life: Life
    knew_jobs: bool  # whether the supervisor knew by then what runs
    launches: Collection[str] = ()  # that a kill is about
    kills_since: float = 0.0  # since when these are being killed
    hung_up: bool = False
    task: "asyncio.Task[object] | None" = None
