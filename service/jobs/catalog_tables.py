"""The tables of a catalogue's file: what they may have, and what jobs inherit from them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from observability.escaping import shown
from observability.label_values import UNKNOWN
from service.engine.workload_spec import Tmpfs, Volume
from service.jobs.catalog import Catalog
from service.jobs.catalog_keys import Entry, ImagePolicy, Policy
from service.jobs.keys.table import example_of

DEFAULTS, IMAGES, JOBS = "defaults", "images", "jobs"
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# Keys whose values are tables.
_WITH_TABLES = {n for n, field in Entry.model_fields.items() if example_of(field).startswith("{")}


def _first_table(table: dict[str, Any]) -> str | None:
    """The first table that is not the value of a key, whose entries may have any names."""
    tables = (key for key, value in table.items() if isinstance(value, dict))
    return next((key for key in tables if key not in _WITH_TABLES), None)


class CatalogFile(BaseModel):
    """The tables of a catalogue's file, as they stand in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defaults: Policy = Policy()
    jobs: dict[str, Entry]
    images: dict[str, ImagePolicy] = {}  # after the jobs: its check needs them

    @model_validator(mode="before")
    @classmethod
    def _dots_are_quoted(cls, file: dict[str, Any]) -> dict[str, Any]:
        """In TOML, an unquoted dot makes a table within a table: here, a job within a job."""
        jobs = file.get("jobs")
        for name, job in jobs.items() if isinstance(jobs, dict) else ():
            inner = job
            while isinstance(inner, dict) and (part := _first_table(inner)):
                name, inner = f"{name}.{part}", inner[part]  # noqa: PLW2901
            if inner is not job and "kind" in inner:
                raise ValueError(f"a name with a dot in it needs quotes: {json.dumps(name)}")
        return file

    @model_validator(mode="after")
    def _names_are_names(self) -> Self:
        for name in self.jobs:
            if name == UNKNOWN:
                raise ValueError(f"{name!r} is what metrics call a job that is not here")
            if not _JOB_NAME.fullmatch(name):
                raise ValueError(
                    f"{shown(name)} is not a job name: a letter or digit, then letters, digits,"
                    " _ . or -, at most 128 characters"
                )
        return self

    @model_validator(mode="after")
    def _no_volume_is_hidden(self) -> Self:
        """The Engine mounts both without a word, and the job would write to memory."""
        for name in self.jobs:
            paths = {each.path for each in self._of(name, "volumes")}
            if twice := sorted(paths & {each.path for each in self._of(name, "tmpfs")}):
                raise ValueError(
                    f"{name} has {twice[0]} in `volumes` and in `tmpfs`, its own or inherited"
                )
        return self

    def _of(self, job: str, key: str) -> Iterable[Volume | Tmpfs]:
        """What a job has or inherits."""
        tables = reversed((*self.layers(job), self.jobs[job]))
        return next((getattr(each, key) for each in tables if key in each.model_fields_set), ())

    @field_validator(IMAGES)
    @classmethod
    def _images_are_used(
        cls, images: dict[str, ImagePolicy], info: ValidationInfo
    ) -> dict[str, ImagePolicy]:
        """A table that no job inherits from is a slip: the jobs meant would lack what it says."""
        jobs: Mapping[str, Entry] | None = info.data.get(JOBS)
        used = {job.image for job in jobs.values() if job.image} if jobs is not None else {*images}
        for image in images:
            if image not in used:
                allowed = ", ".join(sorted(used)) or "none, as no job has an image"
                raise ValueError(f"no job has the image {shown(image)}; allowed is {allowed}")
        return images

    def layers(self, job: str) -> Sequence[Policy]:
        """The tables that a job inherits from; the last one wins."""
        image = self.images.get(self.jobs[job].image or "")
        return (self.defaults, image) if image else (self.defaults,)

    def catalog(self) -> "Catalog":
        """The jobs with all that they inherit."""
        jobs = {name: job.inherit(*self.layers(name)) for name, job in self.jobs.items()}
        most = {name: image.max_running for name, image in self.images.items()}
        return Catalog(jobs, {name: number for name, number in most.items() if number is not None})
