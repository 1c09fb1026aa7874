"""How many jobs may run at once, and what happens to launches beyond that."""

from typing import Annotated, Literal

from pydantic import Field

from service.jobs.keys.table import Table, key


class MaxRunning(Table):
    """The limit of a job name, or of an image: a job does not inherit that of its image."""

    max_running: Annotated[int, Field(ge=1)] | None = key(
        None,
        "how many jobs of this name may run at once, or of all jobs of an image together",
        allowed="a whole number above 0",
        example="4",
    )


class FairnessKeys(Table):
    """What becomes of launches while as many jobs run as may, and which goes first."""

    when_full: Literal["refuse", "wait"] = key(
        "refuse",
        "whether a launch is refused while as many jobs run as may, by `max_running` or"
        " `MAX_RUNNING_JOBS`, or waits for up to `WAIT_SECONDS`",
        allowed='"refuse" or "wait"',
        example='"wait"',
    )
    priority: Annotated[int, Field(ge=-100, le=100)] = key(
        0,
        "which of the launches that wait goes first: the one with the highest number",
        allowed="a whole number from -100 to 100",
        example="10",
    )
