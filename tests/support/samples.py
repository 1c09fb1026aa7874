"""Jobs to test with."""

from typing import Any

from service.jobs.model import Job, Kind

NAMES = ("timer", "mail")


def a_job(launch_id: str = "0123456789abcdef", **changes: Any) -> Job:
    """An action that is starting, but for what is changed."""
    facts: dict[str, Any] = {"name": "timer", "identifier": "timer-1", "kind": Kind.ACTION}
    return Job(launch_id=launch_id, **(facts | changes))
