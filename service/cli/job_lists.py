"""Prints jobs in each of the formats."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from observability.escaping import printable
from service.cli.formats import Format, as_json_line, as_yaml, json_list
from service.cli.output import emit
from service.cli.tables import Column, Table
from service.client.messages import as_dict

if TYPE_CHECKING:
    from service._generated.supervisor.v1.observer_pb2 import Job

_AT_ONCE = 500


def print_jobs(jobs: "Iterable[Job]", output: Format, columns: "Sequence[Column[Job]]") -> None:
    """Print a list of jobs. Only a table waits for all of them."""
    if output is Format.JSON:
        for part in json_list(map(as_dict, jobs)):
            emit(part, nl=False)
    elif output is Format.YAML:
        _print_yaml(jobs)
    elif output is Format.NAME:
        for job in jobs:
            emit(printable(job.identifier))
    else:
        for line in Table(columns, wide=output is Format.WIDE).lines(list(jobs)):
            emit(line)


def _print_yaml(jobs: "Iterable[Job]") -> None:
    """In parts, which together are one list."""
    each, some = iter(jobs), False
    while part := [as_dict(job) for job in islice(each, _AT_ONCE)]:
        some = True
        emit(as_yaml(part), nl=False)
    if not some:
        emit("[]")


class Changes:
    """Prints jobs as they change: a line of the table, a line of JSON, a document of YAML."""

    def __init__(self, output: Format, columns: "Sequence[Column[Job]]") -> None:
        self._output = output
        self._table = Table(columns, wide=output is Format.WIDE)

    def print(self, jobs: "Sequence[Job]") -> None:
        if self._output is Format.JSON:
            lines: Iterable[str] = (as_json_line(as_dict(job)) for job in jobs)
        elif self._output is Format.YAML:
            lines = (f"---\n{as_yaml(as_dict(job)).rstrip()}" for job in jobs)
        elif self._output is Format.NAME:
            lines = (printable(job.identifier) for job in jobs)
        else:
            lines = self._table.lines(jobs)
        for line in lines:
            emit(line)
