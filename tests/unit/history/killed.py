"""A process with a history that adds jobs until it is killed: `python -m … FILE FIRST`.

It says the number of each job that was added so long ago that it has to be in the file.
"""

import asyncio
import sys
import time
from pathlib import Path

from service.app.metric_labels import new_metrics
from service.history.history import History
from service.settings import Settings
from tests.support.samples import NAMES
from tests.unit.history.ends import an_end

# Promised is a second (seconds): what is more is for a busy machine.
_LOST_AT_MOST = 1.5


async def main(path: str, first: int) -> None:
    metrics = new_metrics(NAMES, version="1", engine="docker", mode="production")
    history = History(metrics, Settings(history_file=Path(path), history_most=2000))
    history.start()
    added: list[tuple[float, int]] = []
    number = first
    while True:
        history.add(an_end(number, last_lines="x" * (number % 5000)))
        added.append((time.monotonic(), number))
        number += 1
        while added and time.monotonic() - added[0][0] > _LOST_AT_MOST:
            sys.stdout.write(f"{added.pop(0)[1]}\n")
            sys.stdout.flush()
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
