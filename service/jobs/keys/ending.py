"""How the container of a job is stopped, when at the latest, and by which init it is run."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from service.jobs.keys.table import Table, key
from service.jobs.keys.values import read_grace, read_signal, read_time_limit


class EndingKeys(Table):
    """How a container is stopped, and when at the latest."""

    time_limit: Annotated[float, BeforeValidator(read_time_limit)] | None = key(
        None,
        "how long it may run, from its start; then it is stopped, and counts as timed out",
        allowed='a number and ms, s, m or h, from "1s" to "8784h"',
        example='"15m"',
    )
    stop_grace: Annotated[float, BeforeValidator(read_grace)] | None = key(
        None,
        "how long it has to stop, from `stop_signal` to SIGKILL, in place of"
        " `JOB_STOP_GRACE_SECONDS`",
        allowed='a number and ms, s, m or h, from "0s" to "1h"; Docker rounds up to seconds',
        example='"30s"',
    )
    stop_signal: Annotated[str, AfterValidator(read_signal)] = key(
        "SIGTERM",
        "the signal that asks it to stop",
        allowed="SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGABRT, SIGWINCH,"
        " SIGRTMIN+3 or SIGKILL",
        example='"SIGINT"',
    )
    init: bool = key(
        default=True,
        description="whether its first process is the Engine's init; `false` is for an image that"
        " brings its own",
        allowed="true or false",
        example="false",
    )
