"""`area-supervisor doctor`: checks everything that usually goes wrong."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from service.app.environment import read_settings
from service.cli.formats import as_json
from service.cli.output import say
from service.cli.terminal import coloured

if TYPE_CHECKING:
    from service.diagnosis.case import Case, Environment
    from service.diagnosis.checks import Finding
    from service.settings import Settings

_COLORS = {"ok": "green", "warning": "yellow", "error": "red", "skipped": "bright_black"}


def doctor(
    json: Annotated[
        bool, typer.Option("--json", help="Print a list of all findings as JSON.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 also if there are only warnings.")
    ] = False,
    container: Annotated[
        bool, typer.Option(help="Run a container for a moment, to try the callback from inside.")
    ] = True,
) -> None:
    """Check everything that usually goes wrong, and say what to do about it.

    One line for each finding. Works whether or not a supervisor runs, and changes nothing. Exit
    code 0: nothing is wrong; 1: something is, a finding is `error`.
    """
    found = []
    for finding in _findings(runs_containers=container):
        found.append(finding)
        if not json:
            say(_line(finding))
    if json:
        say(as_json([asdict(each) for each in found]))
    bad = {"error", "warning"} if strict else {"error"}
    raise typer.Exit(1 if any(each.status in bad for each in found) else 0)


def _findings(*, runs_containers: bool) -> "Iterator[Finding]":
    from service.diagnosis.checks import make_within
    from service.diagnosis.doctor import CHECKS

    case = _case(runs_containers=runs_containers)
    try:
        for check in CHECKS:
            yield from make_within(check, case)
    finally:
        with suppress(Exception):  # there may be no engine
            case.examiner.close()


def _case(*, runs_containers: bool) -> "Case":
    from service.app.engines import ENGINES, open_examiner, runs_in_container
    from service.app.tls_ports import tls_files
    from service.diagnosis.case import Case

    return Case(
        read=_read,
        check_catalog=lambda settings, jobs: ENGINES[settings.supervisor_engine].check(
            settings, jobs
        ),
        tls_files=tls_files,
        open=open_examiner,
        is_supervisor=_is_supervisor,
        runs_containers=runs_containers,
        in_container=runs_in_container(),
    )


def _read() -> "Environment":
    from service.app.engines import adapted
    from service.app.unknown_settings import misspelt
    from service.diagnosis.case import Environment

    settings, corrections = read_settings()
    return Environment(adapted(settings), corrections, misspelt(os.environ))


def _is_supervisor(settings: "Settings", setting: str) -> bool:
    """Whether what has a port answers as a supervisor does."""
    from service.api.health_client import check_health, check_page

    host = str(settings.bind_address or "127.0.0.1")
    if setting == "GRPC_SERVER_PORT" and not settings.grpc_tls:
        status = check_health(host, settings.grpc_server_port, "liveness")[1]
        return status in ("SERVING", "NOT_SERVING")
    tls = settings.metrics_tls_cert_file is not None
    return check_page(host, settings.metrics_port, "liveness", tls=tls)[0]


def _line(finding: "Finding") -> str:
    status = finding.status.value
    about = f"{finding.subject}: " if finding.subject else ""
    helps = f"; {finding.help}" if finding.help else ""
    begin = f"{coloured(f'{status:<7}', _COLORS[status])}  {finding.check:<12}"
    return f"{begin}  {about}{finding.message}{helps}"
