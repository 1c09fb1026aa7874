"""The catalogue: the entries of all job names."""

from collections.abc import Mapping, Sequence

from service.engine.workload_spec import PullPolicy
from service.jobs.catalog_keys import Entry
from service.jobs.keys.images import has_moving_tag

_INIT = 1  # process


class Catalog(dict[str, Entry]):
    """The entries by job name."""

    # The names of the jobs that this process has known, and that are no longer there.
    gone: frozenset[str] = frozenset()

    def __init__(
        self, entries: Mapping[str, Entry], image_limits: Mapping[str, int] | None = None
    ) -> None:
        """`image_limits` is how many jobs of an image may run at once, where that is limited."""
        super().__init__(entries)
        self.image_limits: Mapping[str, int] = image_limits or {}

    def replace(self, newer: "Catalog") -> None:
        """Take over the entries of another catalogue: all parts of the service hold this one."""
        self.gone = frozenset(self.gone | self.keys()) - newer.keys()
        self.clear()
        self.update(newer)
        self.image_limits = newer.image_limits

    @property
    def images(self) -> frozenset[str]:
        """The images of all entries."""
        return frozenset(entry.image for entry in self.values() if entry.image)

    @property
    def without_room(self) -> Sequence[str]:
        """The job names that cannot run: their `pids` has room for the container's init only."""
        return [name for name, entry in self.items() if entry.pids == _INIT]

    @property
    def images_to_be_there(self) -> frozenset[str]:
        """The images that some job does not have pulled."""
        kept = (entry for entry in self.values() if entry.pull is PullPolicy.NEVER)
        return frozenset(entry.image for entry in kept if entry.image)

    @property
    def moving_images(self) -> Sequence[str]:
        """The images that each launch pulls, and whose tag moves: each may be another one."""
        pulled = {e.image for e in self.values() if e.image and e.pull is PullPolicy.ALWAYS}
        return sorted(image for image in pulled if has_moving_tag(image))
