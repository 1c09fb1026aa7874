"""A process in which jobs end at a constant rate, and nothing else happens.

python -m benchmarks.servers.ends ENDS PER_SECOND [--kept] [--file FILE]

It prints the seconds of CPU time for each end.
"""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from service.app import event_loop
from service.app.metric_labels import new_metrics
from service.history.history import History
from service.settings import Settings
from tests.support.samples import NAMES
from tests.unit.history.ends import an_end


def main(
    ends: Annotated[int, typer.Argument()],
    per_second: Annotated[int, typer.Argument()],
    kept: Annotated[bool, typer.Option("--kept")] = False,
    file: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Let jobs end, and keep them or not."""
    print(event_loop.run(_end(ends, per_second, kept=kept, file=file)))


async def _end(ends: int, per_second: int, *, kept: bool, file: Path | None) -> float:
    metrics = new_metrics(NAMES, version="1", engine="docker", mode="production")
    history = History(metrics, Settings(history_file=file))
    history.start()
    await asyncio.sleep(1)  # what opens the file is not counted
    before, began = time.process_time(), time.perf_counter()
    for number in range(ends):
        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        job = an_end(number)
        if kept:
            history.add(job)
    await asyncio.sleep(1)  # the last are written 0.8 seconds later
    took = time.process_time() - before
    await history.close(within=5)
    return took / ends


if __name__ == "__main__":
    typer.run(main)
