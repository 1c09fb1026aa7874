"""Whether, when and how often the container of a job is started again."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from service.jobs.keys.table import Table, key
from service.jobs.keys.values import list_of_codes, read_back_off, read_window

_A_DURATION = "a number and ms, s, m or h"


class Restart(Table):
    """The table `restart`."""

    model_config = ConfigDict(validate_default=True)  # so that defaults are as in the file

    on: Literal["failure", "end", "never"] = key(
        "failure",
        "after which ends it is started again: failures, or any end of an action that should go on",
        allowed='"failure", "end" or "never"',
        example='"end"',
    )
    attempts: Annotated[int, Field(ge=1, le=10**6)] = key(
        5,
        "how often, within `window`",
        allowed="a whole number from 1 to 1000000",
        example="10",
    )
    window: Annotated[float, BeforeValidator(read_window)] = key(
        "10m",
        "the time within which `attempts` counts; it begins with an end, and anew after it",
        allowed=f'{_A_DURATION}, from "1s" to "8784h"',
        example='"1h"',
    )
    back_off: Annotated[float, BeforeValidator(read_back_off)] = key(
        "1s",
        "the longest wait before the first restart; it doubles from one to the next",
        allowed=f'{_A_DURATION}, from "1ms" to "24h"',
        example='"5s"',
    )
    most: Annotated[float, BeforeValidator(read_back_off)] = key(
        "5m",
        "the longest wait at all; after a run that lasted longer, the waits start over",
        allowed=f'{_A_DURATION}, from "1ms" to "24h", and not below `back_off`',
        example='"10m"',
    )

    unhealthy: bool = key(
        default=False,
        description="whether it is ended and started again, too, once its health check has failed",
        allowed="true or false",
        example="true",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.back_off > self.most:
            raise ValueError("`back_off` is longer than `most`, the longest wait")
        return self


class RestartKeys(Table):
    """Whether and when a container that has ended is started again."""

    restart: Restart | None = key(
        None,
        "whether its container is started again after its end, with `on`, `attempts`, `window`,"
        " `back_off`, `most` and `unhealthy`; not for reactions",
        allowed='a table, such as { on = "failure", attempts = 5, window = "10m", back_off = "1s",'
        ' most = "5m", unhealthy = false }; each of its keys has this default',
        example='{ on = "end", most = "1m" }',
    )
    final_exit_codes: Annotated[tuple[int, ...], list_of_codes()] = key(
        (),
        "the exit codes after which a restart would not help, so that there is none",
        allowed="a list of whole numbers from 0 to 255",
        example="[2, 64]",
    )
