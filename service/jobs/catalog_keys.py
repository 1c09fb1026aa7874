"""The keys of the catalogue, put together: what each of its tables may have, and who inherits."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from service.jobs.keys.confinement import ConfinementKeys
from service.jobs.keys.credentials import CredentialKeys
from service.jobs.keys.ending import EndingKeys
from service.jobs.keys.fairness import FairnessKeys, MaxRunning
from service.jobs.keys.health import HealthKeys
from service.jobs.keys.images import ImageKeys
from service.jobs.keys.resources import ResourceKeys
from service.jobs.keys.restarting import RestartKeys
from service.jobs.keys.surroundings import SurroundingKeys
from service.jobs.keys.table import Table, key
from service.jobs.keys.values import read_image
from service.jobs.model import Kind
from service.jobs.restart_policy import RestartPolicy

# A reaction does not inherit these, and may not have them itself.
_ONLY_FOR_ACTIONS = frozenset({"ends", "restart", "final_exit_codes"})
# An image has these for all of its jobs together, and no job inherits them.
_OF_THE_IMAGE = frozenset({"max_running"})


class _Own(Table):
    """The keys that each job has for itself."""

    kind: Annotated[Kind, Field(strict=False)] = key(
        ...,
        "an action runs once for each identifier; a reaction runs at each launch",
        allowed='"action" or "reaction"',
        example='"action"',
    )
    image: Annotated[str, AfterValidator(read_image)] | None = key(
        None,
        "the image to run; without one a launch succeeds and runs nothing",
        allowed="an image's name, such as supervisor-github:latest or NAME@sha256:DIGEST",
        example='"supervisor-weather"',
    )


class _Program(Table):
    """How a job runs the program of its image."""

    first_argument: Annotated[str, Field(pattern=r"^[^\x00]+$")] | None = key(
        None,
        "the worker's first argument, before all others: which part of the image to run",
        allowed="a text that is not empty and has no NUL in it",
        example='"fetch"',
    )
    ends: bool = key(
        default=False,
        description="whether an action ends by itself, such as one that sets up a webhook",
        allowed="true or false",
        example="true",
    )


# The last one comes first in docs/catalogue.md.
class Policy(
    CredentialKeys,
    HealthKeys,
    FairnessKeys,
    SurroundingKeys,
    ConfinementKeys,
    RestartKeys,
    EndingKeys,
    ResourceKeys,
    ImageKeys,
):
    """What a job may do and use, and how it gets its credentials: what `[defaults]` may have."""


class ImagePolicy(Policy, MaxRunning, _Program):
    """The keys that a table of `[images]` may have, for every job of that image."""


class Entry(ImagePolicy, _Own):
    """An entry of the catalogue: a job name's settings."""

    @model_validator(mode="after")
    def _only_an_action_can_end(self) -> Self:
        if self.ends and self.kind is Kind.REACTION:
            raise ValueError("`ends` is for actions; a reaction always ends by itself")
        return self

    @model_validator(mode="after")
    def _no_reaction_is_restarted(self) -> Self:
        given = [key for key in ("restart", "final_exit_codes") if getattr(self, key)]
        if given and self.kind is Kind.REACTION:
            raise ValueError(
                f"`{given[0]}` is for actions; a reaction that is started again may do its work"
                " twice"
            )
        return self

    @property
    def restart_policy(self) -> RestartPolicy | None:
        """When its jobs are started again. What a reaction inherits does not apply to it."""
        given = self.restart
        if given is None or given.on == "never" or self.kind is Kind.REACTION:
            return None
        return RestartPolicy(
            given.on,
            given.attempts,
            given.window,
            given.back_off,
            given.most,
            self.final_exit_codes,
            unhealthy=given.unhealthy,
        )

    @property
    def ends_by_itself(self) -> bool:
        """Whether its jobs are expected to end by themselves, with exit code 0."""
        return self.ends or self.kind is Kind.REACTION

    def sources(self, *layers: Policy) -> Mapping[str, Policy]:
        """Which table gives each key that is given: the entry, or else the last of the layers."""
        inherited = {
            key: layer for layer in layers for key in layer.model_fields_set - _OF_THE_IMAGE
        }
        if self.kind is Kind.REACTION:
            inherited = {k: v for k, v in inherited.items() if k not in _ONLY_FOR_ACTIONS}
        return inherited | dict.fromkeys(self.model_fields_set, self)

    def inherit(self, *layers: Policy) -> Self:
        """The entry with the keys that it leaves out from the layers; the last layer wins."""
        given = self.sources(*layers)
        return self.model_copy(update={key: getattr(table, key) for key, table in given.items()})
