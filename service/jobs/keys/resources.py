"""What the container of a job may use, and the machines that it may run on."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from service.engine.workload_spec import Limits, Ulimit
from service.jobs.keys.table import Table, key
from service.jobs.keys.tables import read_ulimits
from service.jobs.keys.values import list_of, read_constraint, read_memory, read_size


class ResourceKeys(Table):
    """What a container may use, and where it may run."""

    memory: Annotated[int, BeforeValidator(read_memory)] | None = key(
        None,
        "the memory that its container may use",
        allowed='a number and k, m or g, from "6m", the Engine\'s least, to "1048576g"',
        example='"256m"',
    )
    memory_reservation: Annotated[int, BeforeValidator(read_memory)] | None = key(
        None,
        "the memory that it keeps when its machine runs short of it",
        allowed='a number and k, m or g, from "6m", the Engine\'s least, to `memory`',
        example='"128m"',
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
    shm_size: Annotated[int, BeforeValidator(read_size)] | None = key(
        None,
        "the size of its `/dev/shm`, which is memory that programs share",
        allowed='a number and k, m or g, from "1k" to "1048576g"',
        example='"256m"',
    )
    ulimits: Annotated[tuple[Ulimit, ...], BeforeValidator(read_ulimits)] = key(
        (),
        "the limits of each of its processes, as setrlimit(2) has them",
        allowed="a table of limits such as nofile, nproc, memlock or core, each with a whole"
        " number, or with { soft = …, hard = … }; -1 is no limit",
        example="{ nofile = 4096, core = 0 }",
    )
    placement: Annotated[tuple[str, ...], list_of(read_constraint)] | None = key(
        None,
        "the nodes of a Swarm that it may run on: those that fulfil all of these constraints",
        allowed="a list of texts, each such as node.labels.tier==jobs or node.role!=manager",
        example='["node.labels.tier==jobs"]',
    )

    @model_validator(mode="after")
    def _reserves_what_it_may_use(self) -> Self:
        if self.memory and self.memory_reservation and self.memory_reservation > self.memory:
            raise ValueError("`memory_reservation` is more than `memory`")
        return self

    @property
    def limits(self) -> Limits:
        """What its container may use. An inherited reservation is no more than its own memory."""
        reservation = self.memory_reservation
        if reservation and self.memory:
            reservation = min(reservation, self.memory)
        return Limits(
            memory=self.memory,
            memory_reservation=reservation,
            cpus=self.cpus,
            pids=self.pids,
            shm_size=self.shm_size,
            ulimits=self.ulimits,
        )
