"""Checks of the supervisor's process: whether it runs, its ports, its limits, its collector."""

import errno
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from observability.escaping import printable
from observability.otel_values import for_traces, protocol
from service.diagnosis.case import Case
from service.diagnosis.checks import Check, Finding, error, ok, warning
from service.jobs.labels import SERVES_LABEL
from service.support.instance_lock import is_held
from service.support.process_limits import SERVE_THREADS, require_threads

_CONNECT = 3.0  # seconds
_FEW_FILES = 4096  # a thousand jobs and their clients need fewer
_DEFAULT_PORTS = {"grpc": 4317, "http/protobuf": 4318}
_SEND_ELSEWHERE = (
    "start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT; spans are lost meanwhile, and"
    " nothing else"
)


def runs_here(case: Case) -> bool:
    """Whether a supervisor of our instance holds this host's lock."""
    return not case.on_swarm and is_held(case.instance, case.examiner.address)


def _supervisor(case: Case) -> Iterator[Finding]:
    serving = case.serving(SERVES_LABEL)
    if runs_here(case):
        yield ok(f"one of the instance {case.instance} runs on this host")
    elif serving:
        yield ok(f"the instance {case.instance} is served by {', '.join(serving)}")
    elif case.on_swarm:
        yield ok("any number may share the Swarm; those that no label names are not seen from here")
    else:
        yield ok(f"none of the instance {case.instance} was found: it may be started")
    if len(serving) > 1 and not case.on_swarm:
        yield warning(
            f"several containers say that they serve it: {', '.join(serving)}",
            "stop all but one, or give each a SUPERVISOR_INSTANCE of its own",
            case.instance,
        )


def _ports(case: Case) -> Iterator[Finding]:
    settings = case.settings
    for setting, port in (
        ("GRPC_SERVER_PORT", settings.grpc_server_port),
        ("METRICS_PORT", settings.metrics_port),
        ("CONSOLE_PORT", settings.console_port),
    ):
        if port is not None:
            yield _of_port(case, setting, port)


def _of_port(case: Case, setting: str, port: int) -> Finding:
    subject = f"{setting}={port}"
    address = str(case.settings.bind_address or "0.0.0.0")  # noqa: S104 - as the server has it
    try:
        _bind(address, port)
    except OSError as refused:
        if refused.errno != errno.EADDRINUSE:
            return error(
                f"{address}: cannot be bound: {refused.strerror}",
                "choose a port above 1023 and a BIND_ADDRESS of this host",
                subject,
            )
    else:
        return ok("is free", subject)
    if case.is_supervisor(case.settings, setting):
        return ok("a running supervisor has it", subject)
    return error(
        "another program has it",
        f"see which with `ss -ltnp 'sport = :{port}'`, and stop it or set another {setting}",
        subject,
    )


def _bind(address: str, port: int) -> None:
    """Bind a port for a moment, without taking a connection. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))


def _process(case: Case) -> Iterator[Finding]:
    assert case
    require_threads(SERVE_THREADS)
    files = os.sysconf("SC_OPEN_MAX")
    if files < _FEW_FILES:
        yield warning(
            f"it may open only {files} files: each client and each call to the Engine needs one",
            "raise ulimit -n, nofile under ulimits (Docker) or LimitNOFILE (systemd)",
        )
    else:
        yield ok(f"it may start {SERVE_THREADS} threads, and open {files} files")


def _otlp(case: Case) -> Iterator[Finding]:
    assert case.settings  # with which the variables were corrected
    endpoint = for_traces("ENDPOINT")
    exporters = os.environ.get("OTEL_TRACES_EXPORTER", "otlp" if endpoint else "none")
    if os.environ.get("OTEL_SDK_DISABLED") == "true" or "otlp" not in exporters.split(","):
        yield ok("no spans are sent")
        return
    host, port = _target(endpoint)
    shown = printable(f"{host}:{port}")
    if not host:
        yield ok("the endpoint is no host and port: it was not tried")
        return
    try:
        socket.create_connection((host, port), _CONNECT).close()
    except OSError as refused:
        yield error(f"{shown}: {refused.strerror or refused}", _SEND_ELSEWHERE)
    else:
        yield ok(f"{shown}: takes connections")


def _target(endpoint: str) -> tuple[str, int]:
    """Host and port of an endpoint; an empty host if it has none, such as `unix:`."""
    default = _DEFAULT_PORTS[protocol()]
    if not endpoint:
        return "localhost", default
    scheme, found, rest = endpoint.partition("://")
    if not found and scheme.split(":")[0] in ("unix", "unix-abstract", "vsock", "ipv4", "ipv6"):
        return "", 0
    url = urlsplit(f"//{(rest if found else endpoint).removeprefix('dns:').lstrip('/')}")
    ends = 443 if scheme.lower() == "https" else 80
    by_scheme = ends if protocol() != "grpc" else default
    return url.hostname or "", url.port or by_scheme


CHECKS = [
    Check("supervisor", "supervisors of this instance", _supervisor),
    Check("ports", "the ports of the supervisor", _ports),
    Check("process", "the limits of a process here", _process, "raise that limit"),
    Check("otlp", "the collector of spans", _otlp, _SEND_ELSEWHERE),
]
