"""The service at four ports of one process. Two of them check each call's token, one with TLS.

    python -m benchmarks.servers.guarded ACCESS_FILE GUARDED SECURED AGAIN PORT

Two processes of one kind differ by some per cent as long as they run, two ports of one do not.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.servers.service import Service, new_certificates
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
    secured: Annotated[int, typer.Argument()],
    again: Annotated[int, typer.Argument()],
    port: Annotated[int, typer.Argument()],
) -> None:
    """Serve until killed."""
    configure_logs(level="info", console=False, write=LogWriter(sys.stdout.fileno()).write)
    configure_tracing("bench", "0", "bench")
    event_loop.run(_serve(access_file, guarded, secured, again, port))


async def _serve(access_file: Path, guarded: int, secured: int, again: int, port: int) -> None:
    service = Service(port)
    access = Access(load_clients(access_file), service.metrics)
    certificates = new_certificates()
    service.open(guarded, AccessGuard(access, lambda _: ()))
    service.open(secured, AccessGuard(access, lambda _: ()), lambda: certificates)
    service.open(again)
    async with service.running():
        event_loop.tune_garbage_collection()
        await asyncio.Event().wait()


if __name__ == "__main__":
    typer.run(main)
