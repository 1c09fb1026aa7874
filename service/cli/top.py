"""`area-supervisor top`: what live jobs use."""

import signal
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import calls_supervisor

if TYPE_CHECKING:
    from service._generated.supervisor.v1.observer_pb2 import JobStats, StatsResponse
    from service.client.supervisor import Supervisor


class Order(StrEnum):
    """What the table is sorted by."""

    CPU = "cpu"
    MEMORY = "memory"
    IDENTIFIER = "identifier"


_KEYS: Mapping[Order, "Callable[[JobStats], float | str]"] = {
    Order.CPU: lambda each: -each.cpu,
    Order.MEMORY: lambda each: -each.memory_bytes,
    Order.IDENTIFIER: lambda each: each.identifier,
}


@calls_supervisor
def top(
    supervisor: "Supervisor",
    once: Annotated[bool, typer.Option("--once", help="Print it once, as in a pipe.")] = False,
    sort: Annotated[Order, typer.Option("--sort", help="The column to sort by.")] = Order.CPU,
    interval: Annotated[
        float, typer.Option("--interval", "-d", min=0.5, help="Seconds between two looks.")
    ] = 2.0,
) -> None:
    """Show processor and memory of each live job, as the Engine measures them, until Ctrl-C."""
    from service.cli.output import emit, say
    from service.cli.terminal import width
    from service.cli.usage_table import lines_of, notes_on

    if once or width() is None:
        stats = _stats(supervisor, sort)
        for line in lines_of(stats):
            emit(line)
        for note in notes_on(stats):
            say(note, err=True)
        return
    from rich.live import Live

    from service.cli.usage_table import live_console, screen

    # Otherwise the terminal would stay in its other screen, as it would amid the change to that.
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    with Live(console=live_console(), screen=True, auto_refresh=False) as live:
        signal.signal(signal.SIGTERM, _end)
        if asked:
            _end(signal.SIGTERM, None)
        while True:
            live.update(screen(_stats(supervisor, sort), str(supervisor.target)), refresh=True)
            time.sleep(interval)


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _stats(supervisor: "Supervisor", sort: Order) -> "StatsResponse":
    from service._generated.supervisor.v1.observer_pb2 import StatsRequest

    found = supervisor.call(supervisor.observer.Stats, StatsRequest())
    found.jobs.sort(key=_KEYS[sort])
    found.unmeasured.sort(key=lambda each: each.identifier)
    return found
