"""Which tests go to the same worker of xdist's: those of a file, and all that build images.

Each worker has an Engine of its own, and so an image is built once in each that needs it. What the
contract asks of a Swarm goes to a worker of its own, since it takes as long as all the rest of it.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

_CONTRACT = "tests/engine/test_contract.py"
_BUILDING = frozenset(
    {"tests/e2e/test_callback.py", "tests/e2e/test_worker_traces.py", "tests/test_readme.py"}
)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Like xdist's `loadfile`, but for those."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file == _CONTRACT and "swarm" in nodeid.partition("[")[2]:
            return "contract of a Swarm"
        return "images" if file in _BUILDING else file


def scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    """What distributes the tests; None where another way was asked for than `loadfile`."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None
