"""What the container of a job may use, and the machines that it may run on."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from service.engine.workload_spec import Limits
from service.jobs.keys.table import Table, key
from service.jobs.keys.values import list_of, read_constraint, read_memory


class ResourceKeys(Table):
    """What a container may use, and where it may run."""

    memory: Annotated[int, BeforeValidator(read_memory)] | None = key(
        None,
        "the memory that its container may use",
        allowed='a number and k, m or g, from "6m", the Engine\'s least, to "1048576g"',
        example='"256m"',
    )
    cpus: Annotated[float, Field(ge=0.01, le=1024)] | None = key(
        None,
        "the number of cores that it may use",
        allowed="a number from 0.01, the kernel's least, to 1024",
        example="0.5",
    )
    pids: Annotated[int, Field(gt=0, le=2**22)] | None = key(
        None,
        "the number of processes and threads that it may have",
        allowed=f"a whole number from 1 to {2**22}, the kernel's most",
        example="100",
    )
    placement: Annotated[tuple[str, ...], list_of(read_constraint)] | None = key(
        None,
        "the nodes of a Swarm that it may run on: those that fulfil all of these constraints",
        allowed="a list of texts, each such as node.labels.tier==jobs or node.role!=manager",
        example='["node.labels.tier==jobs"]',
    )

    @property
    def limits(self) -> Limits:
        """What its container may use."""
        return Limits(memory=self.memory, cpus=self.cpus, pids=self.pids)
