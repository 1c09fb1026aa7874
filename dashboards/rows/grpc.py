"""What clients find: gRPC's calls, the certificates and other files of the ports, and watches."""

from dashboards.panels import HALF, Panel, lines
from dashboards.promql import per_minute, quantile, query, rate, series, short_method

_CALLS = "grpc_server_call_duration_seconds"
# Those that a call to us can end with.
_STATUSES = (
    "OK", "CANCELLED", "DEADLINE_EXCEEDED", "INVALID_ARGUMENT",
    "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN",
)  # fmt: skip

# Without TLS, the end of the certificate is 0.
_NOT_AFTER = series("supervisor_tls_certificate_timestamp_seconds", 'edge="not_after"')
_LEFT = f"min by (port) (clamp_min({_NOT_AFTER} - time(), 0))"
_OF_CLIENTS = series("supervisor_tls_client_authority_timestamp_seconds", 'edge="not_after"')


def grpc() -> list[Panel]:
    """The row about the ports."""
    return [*_calls(), *_tls(), _refused_files(), *_watches()]


def _calls() -> list[Panel]:
    return [
        lines(
            "gRPC calls by method",
            "As they begin. Health is what orchestrators ask for.",
            "reqps",
            query(
                short_method(f"sum by (grpc_method) ({rate('grpc_server_call_started_total')})"),
                "{{method}}",
            ),
            stacked=True,
        ),
        lines(
            "gRPC calls by status",
            "The status on the wire. A launch that fails is OK here, and has its error inside.",
            "reqps",
            query(f"sum by (grpc_status) ({rate(f'{_CALLS}_count')})", "{{grpc_status}}"),
            stacked=True,
            known=_STATUSES,
        ),
        lines(
            "gRPC latency by method, p95",
            "From the first byte to the status. Each dot is a call: a click opens its trace.",
            "s",
            query(
                short_method(quantile(0.95, _CALLS, by=["grpc_method"])),
                "{{method}}",
                exemplars=True,
            ),
        ),
    ]


def _tls() -> list[Panel]:
    return [
        lines(
            "Failed TLS handshakes by reason",
            "Connections that TLS has refused; of both ports. 0 without TLS.",
            "cpm",
            query(
                per_minute("supervisor_tls_handshake_failures_total", by=["reason"]), "{{reason}}"
            ),
            stacked=True,
        ),
        lines(
            "Certificates: time left",
            "Until the certificate in use expires, by port, and the first authority of clients."
            " 0 if there is none.",
            "s",
            query(_LEFT, "{{port}}"),
            query(f"min(clamp_min({_OF_CLIENTS} - time(), 0))", "authority of clients"),
        ),
    ]


def _refused_files() -> Panel:
    return lines(
        "Refused files",
        "1 while changed files have a fault, and what they said before is in use: certificates,"
        " by port, the access file, and the catalogue.",
        "none",
        query(
            f"max by (port) ({series('supervisor_tls_files_refused')})",
            "certificate, {{port}}",
        ),
        query(_refused("supervisor_access_reload_success"), "access file"),
        query(_refused("supervisor_catalog_reload_success"), "catalogue"),
    )


def _refused(success: str) -> str:
    """1 while a changed file is refused, 0 if there is none; `success` is of its last reading."""
    return f"max(({series(f'{success}_timestamp_seconds')} > bool 0) - {series(success)})"


def _watches() -> list[Panel]:
    return [
        lines(
            "Watches",
            "Open calls of WatchJobs.",
            "none",
            query(series("supervisor_watches_open"), "{{instance}}"),
            width=HALF,
        ),
        lines(
            "Watches that were too slow",
            "Calls of WatchJobs that ended because their clients are too slow. They come back.",
            "cpm",
            query(per_minute("supervisor_watches_too_slow_total", by=["instance"]), "{{instance}}"),
            width=HALF,
        ),
    ]
