"""`area-supervisor top`: what live jobs use."""

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import calls_supervisor

if TYPE_CHECKING:
    from service._generated.supervisor.v1.observer_pb2 import JobStats
    from service.client.supervisor import Supervisor


class Order(StrEnum):
    """What comes first."""

    CPU = "cpu"
    MEMORY = "memory"
    IDENTIFIER = "identifier"


@calls_supervisor
def top(
    supervisor: "Supervisor",
    once: Annotated[bool, typer.Option("--once", help="Print it once, as in a pipe.")] = False,
    sort: Annotated[Order, typer.Option("--sort", help="What comes first.")] = Order.CPU,
    interval: Annotated[
        float, typer.Option("--interval", "-d", min=0.5, help="Seconds between two looks.")
    ] = 2.0,
) -> None:
    """Show processor and memory of each live job, as the Engine tells them; until Ctrl-C."""
    from service.cli.output import emit
    from service.cli.terminal import width
    from service.cli.usage_table import lines_of

    if once or width() is None:
        for line in lines_of(_stats(supervisor, sort)):
            emit(line)
        return
    from rich.live import Live

    from service.cli.usage_table import live_console, screen

    with Live(console=live_console(), screen=True, auto_refresh=False) as live:
        while True:
            live.update(screen(_stats(supervisor, sort), str(supervisor.target)), refresh=True)
            time.sleep(interval)


def _stats(supervisor: "Supervisor", sort: Order) -> "list[JobStats]":
    from service._generated.supervisor.v1.observer_pb2 import StatsRequest

    found = supervisor.call(supervisor.observer.Stats, StatsRequest()).jobs
    if sort is Order.IDENTIFIER:
        return sorted(found, key=lambda each: each.identifier)
    if sort is Order.MEMORY:
        return sorted(found, key=lambda each: -each.memory_bytes)
    return sorted(found, key=lambda each: -each.cpu)
