"""Completes arguments with names from the supervisor, within a second or not at all."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from service.client.supervisor import Supervisor

# Shells put what they are given onto the command line as it is.
_HARMLESS = re.compile(r"[\w.@%+,/-]+")
_TO_ANSWER = 0.5
_MOST = 1000


def complete_identifier(ctx: typer.Context, incomplete: str) -> list[str]:
    """Identifiers, of live jobs first."""
    return _offered(job.identifier for job in _jobs(ctx, incomplete))


def complete_job_name(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the catalogue."""
    return _offered(_names(ctx, incomplete))


def _offered(texts: Iterator[str]) -> list[str]:
    # A message, such as a warning, would end up in the middle of a command line.
    with redirect_stderr(io.StringIO()):
        try:
            return [text for text in dict.fromkeys(texts) if _HARMLESS.fullmatch(text)]
        except Exception:  # noqa: BLE001
            return []


def _names(ctx: typer.Context, prefix: str) -> Iterator[str]:
    from service._generated.supervisor.v1.observer_pb2 import ListNamesRequest

    with _supervisor(ctx) as supervisor:
        request = ListNamesRequest(prefix=prefix)
        yield from supervisor.call(supervisor.observer.ListNames, request, timeout=_TO_ANSWER).names


def _jobs(ctx: typer.Context, prefix: str) -> Iterator[Any]:
    from service._generated.supervisor.v1.observer_pb2 import ListJobsRequest

    with _supervisor(ctx) as supervisor:
        request = ListJobsRequest(include="both", page_size=_MOST, identifier_prefix=prefix)
        yield from supervisor.call(supervisor.observer.ListJobs, request, timeout=_TO_ANSWER).jobs


def _supervisor(ctx: typer.Context) -> "Supervisor":
    from service.cli.client import given_options
    from service.client.supervisor import Supervisor
    from service.client.target import find_target

    return Supervisor(find_target(given_options(ctx), os.environ), hasty=True)
