"""What the container of a job may do."""

from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from service.engine.workload_spec import Confinement, Tmpfs
from service.jobs.keys.table import Table, key
from service.jobs.keys.values import (
    list_of,
    read_capability,
    read_capability_or_all,
    read_tmpfs,
    read_user,
)


class ConfinementKeys(Table):
    """What the program of a container may do and write to."""

    user: Annotated[str, AfterValidator(read_user)] | None = key(
        None,
        "the user that its program runs as, in place of the image's",
        allowed='a user or user:group by name or number, such as "1000:1000"; "" is the image\'s',
        example='"1000:1000"',
    )
    read_only: bool = key(
        default=False,
        description="whether its file system is read-only, except for `tmpfs`",
        allowed="true or false",
        example="true",
    )
    cap_drop: Annotated[tuple[str, ...], list_of(read_capability_or_all)] = key(
        (),
        "the capabilities that it does not get, of those that the Engine gives by default",
        allowed='a list of "ALL" or names of capabilities(7) without CAP_, such as "NET_RAW"',
        example='["ALL"]',
    )
    cap_add: Annotated[tuple[str, ...], list_of(read_capability)] = key(
        (),
        "the capabilities that it gets, in spite of `cap_drop`",
        allowed='a list of names of capabilities(7) without CAP_, such as "NET_BIND_SERVICE";'
        ' "ALL" is refused, because that is nearly a privileged container',
        example='["NET_BIND_SERVICE"]',
    )
    tmpfs: Annotated[tuple[Tmpfs, ...], list_of(read_tmpfs)] = key(
        (),
        "folders in memory that it may write to; nothing in them can be executed",
        allowed='a list of paths, each with size and mode if needed, such as "/run:size=16m,'
        'mode=1777"; not /, /dev, /proc, /sys, /run/area-auth',
        example='["/tmp", "/run:size=16m"]',
    )
    no_new_privileges: bool = key(
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
