"""Which tests go to the same worker of xdist's: those of a file, and all that build images.

Each worker has an Engine of its own, and so an image is built once in each that needs it.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_BUILDING = frozenset({"tests/e2e/test_callback.py", "tests/e2e/test_worker_traces.py"})


class ByFile(LoadScopeScheduling):
    """Like xdist's `loadfile`, but for those."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "images" if file in _BUILDING else file


def scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    """What distributes the tests; None where another way was asked for than `loadfile`."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None
