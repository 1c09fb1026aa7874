"""When a launch is answered: once its job runs, or once it is healthy; and its health check."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from service.engine.workload_spec import Healthcheck
from service.jobs.keys.table import Table, key
from service.jobs.keys.values import read_command, read_period, read_wait

# Docker's first probe comes after its whole first interval, by default 30 s, and may take as long.
_READY_WITHIN = 120.0

_Period = Annotated[float, BeforeValidator(read_period)] | None
_A_PERIOD = 'a number and ms, s, m or h, from "100ms" to "24h"'


class HealthcheckTable(Table):
    """A health check. What it leaves out is that of the image."""

    command: Annotated[tuple[str, ...], BeforeValidator(read_command)] = key(
        (),
        "the program in the container that exits with 0 if the job is healthy, and its arguments;"
        " no shell reads them",
        allowed="a list of texts without NUL, of which the first is not empty",
        example='["wget", "-qO-", "http://localhost:8080/health"]',
    )
    interval: _Period = key(
        None,
        "how long after a start, and after each probe, the next probe begins",
        allowed=_A_PERIOD,
        example='"10s"',
    )
    timeout: _Period = key(None, "how long a probe may take", allowed=_A_PERIOD, example='"5s"')
    retries: Annotated[int, Field(ge=1, le=1000)] | None = key(
        None,
        "how many probes in a row have to fail until it is unhealthy",
        allowed="a whole number from 1 to 1000",
        example="3",
    )
    start_period: _Period = key(
        None,
        "for how long after a start probes that fail do not count",
        allowed=_A_PERIOD,
        example='"30s"',
    )


class HealthKeys(Table):
    """When a launch is answered, and how its job's health is found out."""

    ready: Literal["running", "healthcheck"] = key(
        "running",
        "when a launch is answered: once the job runs, or once its health check has succeeded",
        allowed='"running" or "healthcheck"',
        example='"healthcheck"',
    )
    ready_timeout: Annotated[float, BeforeValidator(read_wait)] | None = key(
        None,
        'how long it has to become healthy, from its start, with `ready = "healthcheck"`;'
        " 2m if left out",
        allowed='a number and ms, s, m or h, from "1s" to "24h"',
        example='"5m"',
    )
    healthcheck: HealthcheckTable | None = key(
        None,
        "the health check of its container, in place of the image's HEALTHCHECK",
        allowed='a table, such as { command = ["/healthy"], interval = "10s" }',
        example='{ command = ["/healthy"], interval = "10s", timeout = "5s", retries = 3 }',
    )

    @property
    def ready_within(self) -> float | None:
        """How long a job has to become healthy (seconds); None if it only has to run."""
        if self.ready == "running":
            return None
        return _READY_WITHIN if self.ready_timeout is None else self.ready_timeout

    @property
    def checks_health(self) -> bool:
        """Whether the catalogue asks for a health check."""
        return self.ready_within is not None or self.healthcheck is not None

    @property
    def health(self) -> Healthcheck:
        """The health check, for the engine."""
        given = self.healthcheck or HealthcheckTable()
        return Healthcheck(
            command=given.command,
            interval=given.interval,
            timeout=given.timeout,
            retries=given.retries,
            start_period=given.start_period,
            required=self.ready_within is not None,
        )
