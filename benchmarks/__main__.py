"""`make bench`: measures, prints tables, draws plots, and updates the docs."""

import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks import h2load, machine, publication, report
from benchmarks.bench import Bench
from benchmarks.contenders import SUPERVISOR
from benchmarks.measurements import (
    access,
    dedup,
    footprint,
    growth,
    history,
    hundreds,
    kill,
    launch,
    layers,
    pages,
    polling,
    restart,
    swarm,
    tail,
    tls,
    watch,
)
from benchmarks.result import Result, Run
from scripts import private_engine
from scripts.progress import PrerequisiteError

# Above this load average, other programs on this machine distort the figures.
_QUIET = 0.5
_BESIDE = (
    "NAME=FOLDER: the supervisor of another checkout as well (launch, kill, dedup)."
    " May be repeated; docs/ stays as it is."
)
# The width of a table.
_COLUMNS = 160


class Name(StrEnum):
    """The measurements, in their order."""

    LAUNCH = "launch"
    KILL = "kill"
    HUNDREDS = "hundreds"
    DEDUP = "dedup"
    ACCESS = "access"
    LAYERS = "layers"
    TLS = "tls"
    TAIL = "tail"
    GROWTH = "growth"
    FOOTPRINT = "footprint"
    RESTART = "restart"
    SWARM = "swarm"
    POLLING = "polling"
    WATCH = "watch"
    PAGES = "pages"
    HISTORY = "history"


_MEASUREMENTS: dict[Name, Callable[[Bench], Result]] = {
    Name.LAUNCH: launch.measure,
    Name.KILL: kill.measure,
    Name.HUNDREDS: hundreds.measure,
    Name.DEDUP: dedup.measure,
    Name.ACCESS: access.measure,
    Name.LAYERS: layers.measure,
    Name.TLS: tls.measure,
    Name.TAIL: tail.measure,
    Name.GROWTH: growth.measure,
    Name.FOOTPRINT: footprint.measure,
    Name.RESTART: restart.measure,
    Name.SWARM: swarm.measure,
    Name.POLLING: polling.measure,
    Name.WATCH: watch.measure,
    Name.PAGES: pages.measure,
    Name.HISTORY: history.measure,
}


def main(
    only: Annotated[list[Name] | None, typer.Option(help="Only this; may be repeated.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small; docs/ stays as it is.")] = False,
    beside: Annotated[list[str] | None, typer.Option(help=_BESIDE)] = None,
) -> None:
    """Measure the supervisor beside the bare Engine and bare gRPC servers, in one run."""
    console = Console(width=None if sys.stdout.isatty() else _COLUMNS)
    try:
        private_engine.ensure_installed()
        h2load.ensure_installed()
    except PrerequisiteError as error:
        sys.exit(f"bench: {error}")
    if (load := machine.load()) > _QUIET:
        console.print(f"The machine is busy (load average {load}), and the figures will tell.")
    others = dict(_checkout(each) for each in beside or ())
    with (
        Progress(console=console, refresh_per_second=1) as progress,
        Bench(progress, quick=quick, beside=others) as bench,
    ):
        results: list[Result] = []
        run = Run(machine.describe(bench.engine_version), quick, results)
        for name in only or Name:
            results.append(_measure(name, bench))
            console.print(report.table(results[-1]))
            console.print(f"Written to {publication.keep(run)}")
    if not quick and not others:
        publication.publish(run, everything=len(results) == len(Name))


def _checkout(named: str) -> tuple[str, Path]:
    name, _, folder = named.partition("=")
    path = Path(folder).resolve()
    if not (name and (path / "service").is_dir()):
        sys.exit(f"bench: --beside {named}: allowed is NAME=FOLDER, the folder of a checkout")
    return f"{SUPERVISOR}, {name}", path


def _measure(name: Name, bench: Bench) -> Result:
    began, load = machine.now(), machine.load()
    python = platform.python_version()
    return replace(_MEASUREMENTS[name](bench), began=began, python=python, load=load)


if __name__ == "__main__":
    typer.run(main)
