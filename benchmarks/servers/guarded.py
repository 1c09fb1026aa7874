"""The service at three ports of one process. The second one checks each call's token.

    python -m benchmarks.servers.guarded ACCESS_FILE GUARDED AGAIN PORT

Two processes of one kind differ by some per cent as long as they run, two ports of one do not.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.servers.service import Service
from observability.log_writer import LogWriter
from observability.logs import configure_logs
from observability.tracing import configure_tracing
from service.access.access import Access
from service.access.access_file import load_clients
from service.api.access_guard import AccessGuard
from service.app import event_loop


def main(
    access_file: Annotated[Path, typer.Argument()],
    guarded: Annotated[int, typer.Argument()],
    again: Annotated[int, typer.Argument()],
    port: Annotated[int, typer.Argument()],
) -> None:
    """Serve until killed."""
    configure_logs(level="info", console=False, write=LogWriter(sys.stdout.fileno()).write)
    configure_tracing("bench", "0", "bench")
    event_loop.run(_serve(access_file, guarded, again, port))


async def _serve(access_file: Path, guarded: int, again: int, port: int) -> None:
    service = Service(port)
    access = Access(load_clients(access_file), service.metrics)
    service.open(guarded, AccessGuard(access, lambda _: ()))
    service.open(again)
    async with service.running():
        event_loop.tune_garbage_collection()
        await asyncio.Event().wait()


if __name__ == "__main__":
    typer.run(main)
