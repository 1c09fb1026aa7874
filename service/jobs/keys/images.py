"""Where the image of a job comes from."""

from typing import Annotated

from pydantic import AfterValidator, Field

from service.engine.workload_spec import ImageSource, PullPolicy
from service.jobs.keys.table import Table, key
from service.jobs.keys.values import read_platform


class ImageKeys(Table):
    """Whether the image is pulled, and for which platform."""

    pull: Annotated[PullPolicy, Field(strict=False)] = key(
        PullPolicy.NEVER,
        "when the Engine pulls the image from its registry",
        allowed='"never", "missing" (if the Engine does not have it) or "always" (before each'
        " launch)",
        example='"missing"',
    )
    platform: Annotated[str, AfterValidator(read_platform)] | None = key(
        None,
        "the platform that the image is for",
        allowed='OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as "linux/arm64/v8"; "" is the'
        " Engine's own",
        example='"linux/arm64"',
    )

    @property
    def source(self) -> ImageSource:
        """Where its image comes from."""
        return ImageSource(self.pull, self.platform or "")


def has_moving_tag(image: str) -> bool:
    """Whether the name stands for whatever was pushed last: with the tag `latest`, or with none."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return not digest and tag in ("", "latest")
