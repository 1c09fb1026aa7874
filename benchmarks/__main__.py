"""`make bench`: measures, shows, draws, and writes down."""

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks.bench import Bench
from benchmarks.measurements import dedup, kill, launch, layers

MEASUREMENTS = {"launch": launch.measure, "kill": kill.measure, "dedup": dedup.measure, "layers": layers.measure}


def main(only: Annotated[list[str] | None, typer.Option()] = None, quick: bool = False) -> None:
    with Progress() as progress, Bench(progress, quick=quick) as bench:
        for name in only or MEASUREMENTS:
            r = MEASUREMENTS[name](bench)
            for row in r.rows:
                print(row.what, row.who, row.value, row.unit, row.ratio, row.goal, row.verdict)

if __name__ == "__main__":
    typer.run(main)
