"""Lists the names of jobs that can be launched."""

from collections.abc import Collection, Sequence

from service.access.clients import ALL_JOBS, JobScope


class JobNames:
    """The names of the catalogue, which may change while the process runs."""

    def __init__(self, catalog: Collection[str]) -> None:
        self._catalog = catalog

    def that_begin(self, prefix: str, *, scope: JobScope = ALL_JOBS) -> Sequence[str]:
        return [name for name in self._catalog if name.startswith(prefix) and scope.allows(name)]
