"""The filters of lists and watches: which jobs somebody asks for, live or ended. Pure."""

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from service.jobs.model import FAILED_OUTCOMES, Job, Outcome, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The jobs that fit all of it. What is empty or None fits every job.

    In `name`, `*` stands for any characters. `since` is of the launch, and `ended_since` of the end
    (seconds since the epoch). `failed` is any outcome but `success` and `killed`.
    """

    name: str = ""
    identifier_prefix: str = ""
    state: State | None = None
    outcome: Outcome | None = None
    since: float | None = None
    ended_since: float | None = None
    failed: bool = False
    _names: Callable[[str], object] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", _pattern(self.name))

    def fits_name(self, name: str) -> bool:
        return not self.name or self._names(name) is not None

    def fits(self, job: Job) -> bool:
        return (
            self.fits_name(job.name)
            and job.identifier.startswith(self.identifier_prefix)
            and self.state in (None, job.state)
            and self.outcome in (None, job.outcome)
            and (self.since is None or job.created_at >= self.since)
            and self._fits_end(job)
        )

    def _fits_end(self, job: Job) -> bool:
        if self.failed and job.outcome not in FAILED_OUTCOMES:
            return False
        since = self.ended_since
        return since is None or (job.ended_at is not None and job.ended_at >= since)


def _pattern(name: str) -> Callable[[str], object]:
    """Matches whole names. Of what a shell's pattern may have, only `*` is one here."""
    plain = re.sub(r"[?[]", r"[\g<0>]", name)
    return re.compile(fnmatch.translate(plain)).match


EVERY_JOB = Wanted()
