"""The keys of the catalogue, put together: what an entry has, and what it can inherit."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from service.jobs.keys.confinement import ConfinementKeys
from service.jobs.keys.resources import ResourceKeys
from service.jobs.keys.table import Table, key
from service.jobs.keys.values import read_image
from service.jobs.model import Kind


class _Work(Table):
    """What a job does: the keys that each has for itself."""

    kind: Annotated[Kind, Field(strict=False)] = key(
        ...,
        "an action runs once for each identifier; a reaction runs at each launch",
        allowed='"action" or "reaction"',
        example='"action"',
    )
    image: Annotated[str, AfterValidator(read_image)] | None = key(
        None,
        "the image to run; without one a launch succeeds and runs nothing",
        allowed="an image's name, such as supervisor-github:latest",
        example='"supervisor-weather"',
    )
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
class Policy(ConfinementKeys, ResourceKeys):
    """What the container of a job may do and use: the keys that `[defaults]` may have, too."""


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

    def inherit(self, *layers: Policy) -> Self:
        """The entry with the keys that it leaves out from the layers; the last layer wins."""
        given = {key: getattr(layer, key) for layer in layers for key in layer.model_fields_set}
        left_out = given.keys() - self.model_fields_set
        return self.model_copy(update={key: given[key] for key in left_out})
