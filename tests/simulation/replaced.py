"""Replaces parts of the process while an episode is played."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from unittest.mock import patch

from opentelemetry import trace

from service.lifecycle.reinspections import Reinspections
from service.reconcile.comparison import Comparison
from service.state.admission import Admission
from service.state.rooms import Rooms
from tests.simulation.listener import heard
from tests.simulation.spill import PROVIDER
from tests.simulation.turns import WatchedLine

# How many threads a comparison and repeated inspections occupy at most: 8 and 4 of 20 in the
# process, and these of `BULK_THREADS` here.
_INSPECTIONS, _REINSPECTIONS = 3, 2


@contextmanager
def replaced() -> Iterator[None]:
    """Replace the log, the spans, these limits, and the lines of launches."""
    with ExitStack() as stack:
        stack.enter_context(heard())
        stack.enter_context(patch.object(trace, "get_tracer_provider", lambda: PROVIDER))
        for module, name, value in (
            (_module_of(Comparison), "_AT_ONCE", _INSPECTIONS),
            (_module_of(Reinspections), "_AT_ONCE", _REINSPECTIONS),
            (_module_of(Rooms), "Line", WatchedLine),
            (_module_of(Admission), "Line", WatchedLine),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield


def _module_of(owner: type) -> ModuleType:
    return sys.modules[owner.__module__]
