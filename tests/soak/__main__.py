"""`make soak`: some thousand cycles. CYCLES and DURATION (seconds) end it, whichever is first.

With ROUGH=1 the supervisor has few threads and files, and a log that nobody reads now and then.
"""

import os
import shutil
import sys
from pathlib import Path

from rich.console import Console

from scripts.private_engine import ensure_installed
from tests.soak.curve import show
from tests.soak.run import soak
from tests.soak.samples import grown

_CYCLES, _SECONDS = 4000, 3600.0
_PICTURE = Path(".cache/soak/curve.svg").absolute()


def main() -> int:
    """Run it, and print the curve."""
    cycles = int(os.environ.get("CYCLES") or _CYCLES)
    duration = float(os.environ.get("DURATION") or _SECONDS)
    ensure_installed()
    console = Console(record=True, width=100)
    rough = bool(os.environ.get("ROUGH"))
    shutil.rmtree(_PICTURE.parent, ignore_errors=True)
    _PICTURE.parent.mkdir(parents=True)
    done = soak(_PICTURE.parent, duration=duration, cycles=cycles, sampled_every=2, rough=rough)
    show(console, done.samples)
    growing = grown(done.samples)
    console.print(f"{done.done.total()} cycles: {dict(done.done)}")
    console.print("\n".join(growing) or "Nothing grows.")
    console.save_svg(str(_PICTURE), title="make soak")
    return 1 if growing else 0


if __name__ == "__main__":
    sys.exit(main())
