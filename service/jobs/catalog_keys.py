"""The keys of the catalogue: their meanings, their allowed values, and what they make of a job."""

from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from service.engine.base import Confinement, Limits, Tmpfs
from service.jobs.catalog_values import (
    list_of,
    read_capability,
    read_capability_or_all,
    read_constraint,
    read_image,
    read_memory,
    read_tmpfs,
    read_user,
)
from service.jobs.model import Kind


def _key(default: object, description: str, *, allowed: str, example: str) -> Any:
    """A field as docs/catalogue.md shows it; the example is TOML."""
    extra: dict[str, Any] = {"allowed": allowed, "example": example}
    return Field(default, description=description, json_schema_extra=extra)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Work(_Table):
    """What a job does: the keys that each has for itself."""

    kind: Annotated[Kind, Field(strict=False)] = _key(
        ...,
        "an action runs once for each identifier; a reaction runs at each launch",
        allowed='"action" or "reaction"',
        example='"action"',
    )
    image: Annotated[str, AfterValidator(read_image)] | None = _key(
        None,
        "the image to run; without one a launch succeeds and runs nothing",
        allowed="an image's name, such as supervisor-github:latest",
        example='"supervisor-weather"',
    )
    first_argument: Annotated[str, Field(pattern=r"^[^\x00]+$")] | None = _key(
        None,
        "the worker's first argument, before all others: which part of the image to run",
        allowed="a text that is not empty and has no NUL in it",
        example='"fetch"',
    )
    ends: bool = _key(
        default=False,
        description="whether an action ends by itself, such as one that sets up a webhook",
        allowed="true or false",
        example="true",
    )


class Policy(_Table):
    """What the container of a job may do and use: the keys that `[defaults]` may have, too."""

    memory: Annotated[int, BeforeValidator(read_memory)] | None = _key(
        None,
        "the memory that its container may use",
        allowed='a number and k, m or g, from "6m", the Engine\'s least, to "1048576g"',
        example='"256m"',
    )
    cpus: Annotated[float, Field(ge=0.01, le=1024)] | None = _key(
        None,
        "the number of cores that it may use",
        allowed="a number from 0.01, the kernel's least, to 1024",
        example="0.5",
    )
    pids: Annotated[int, Field(gt=0, le=2**22)] | None = _key(
        None,
        "the number of processes and threads that it may have",
        allowed=f"a whole number from 1 to {2**22}, the kernel's most",
        example="100",
    )
    placement: Annotated[tuple[str, ...], list_of(read_constraint)] | None = _key(
        None,
        "the nodes of a Swarm that it may run on: those that fulfil all of these constraints",
        allowed="a list of texts, each such as node.labels.tier==jobs or node.role!=manager",
        example='["node.labels.tier==jobs"]',
    )
    user: Annotated[str, AfterValidator(read_user)] | None = _key(
        None,
        "the user that its program runs as, in place of the image's",
        allowed='a user or user:group by name or number, such as "1000:1000"; "" is the image\'s',
        example='"1000:1000"',
    )
    read_only: bool = _key(
        default=False,
        description="whether its file system is read-only, except for `tmpfs`",
        allowed="true or false",
        example="true",
    )
    cap_drop: Annotated[tuple[str, ...], list_of(read_capability_or_all)] = _key(
        (),
        "the capabilities that it does not get, of those that the Engine gives by default",
        allowed='a list of "ALL" or names of capabilities(7) without CAP_, such as "NET_RAW"',
        example='["ALL"]',
    )
    cap_add: Annotated[tuple[str, ...], list_of(read_capability)] = _key(
        (),
        "the capabilities that it gets, in spite of `cap_drop`",
        allowed='a list of names of capabilities(7) without CAP_, such as "NET_BIND_SERVICE";'
        ' "ALL" is refused, because that is nearly a privileged container',
        example='["NET_BIND_SERVICE"]',
    )
    tmpfs: Annotated[tuple[Tmpfs, ...], list_of(read_tmpfs)] = _key(
        (),
        "folders in memory that it may write to; nothing in them can be executed",
        allowed='a list of paths, each with size and mode if needed, such as "/run:size=16m,'
        'mode=1777"; not /, /dev, /proc or /sys',
        example='["/tmp", "/run:size=16m"]',
    )
    no_new_privileges: bool = _key(
        default=True,
        description="whether no program in it can gain privileges, as by setuid",
        allowed="true or false",
        example="false",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if both := sorted({*self.cap_add} & {*self.cap_drop}):
            raise ValueError(f"{both[0]} is in `cap_add` and in `cap_drop`")
        paths = [each.path for each in self.tmpfs]
        if twice := next((path for path in paths if paths.count(path) > 1), None):
            raise ValueError(f"{twice} is twice in `tmpfs`")
        return self


class Entry(Policy, _Work):
    """An entry of the catalogue: a job name's settings."""

    @model_validator(mode="after")
    def _only_an_action_can_end(self) -> Self:
        if self.ends and self.kind is Kind.REACTION:
            raise ValueError("`ends` is for actions; a reaction always ends by itself")
        return self

    @property
    def ends_by_itself(self) -> bool:
        """Whether its jobs are expected to end by themselves, with exit code 0."""
        return self.ends or self.kind is Kind.REACTION

    @property
    def limits(self) -> Limits:
        """What its container may use."""
        return Limits(memory=self.memory, cpus=self.cpus, pids=self.pids)

    @property
    def confinement(self) -> Confinement:
        """What its container may do."""
        asked = "no_new_privileges" in self.model_fields_set
        return Confinement(
            user=self.user or "",
            read_only=self.read_only,
            cap_drop=tuple(each for each in self.cap_drop if each not in self.cap_add),
            cap_add=self.cap_add,
            tmpfs=self.tmpfs,
            no_new_privileges=self.no_new_privileges if asked else None,
        )

    def inherit(self, *layers: Policy) -> Self:
        """The entry with the keys that it leaves out from the layers; the last layer wins."""
        given = {key: getattr(layer, key) for layer in layers for key in layer.model_fields_set}
        left_out = given.keys() - self.model_fields_set
        return self.model_copy(update={key: given[key] for key in left_out})
