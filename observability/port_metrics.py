"""The metrics of the ports: gRPC's calls, watches, access and TLS."""

from observability.label_values import HANDSHAKE_PORTS, HANDSHAKE_REASONS, TLS_PORTS, Labels
from observability.metric_series import Series


class PortMetrics:
    """What is counted of the calls that arrive at the ports, and of the ports' files."""

    def __init__(self, series: Series, labels: Labels) -> None:
        self._make_grpc(series)
        self._make_watches(series)
        self._make_access(series, labels)
        self._make_tls(series)

    def _make_grpc(self, series: Series) -> None:
        # The names and labels of gRPC proposal A66, in Prometheus' spelling. No series exists
        # before the first call, because clients choose the methods.
        self.grpc_started = series.counter(
            "grpc_server_call_started", "Calls that have begun.", grpc_method=[]
        )
        self.grpc_duration = series.histogram(
            "grpc_server_call_duration_seconds",
            "From the first byte of a call to its status.",
            grpc_method=[],
            grpc_status=[],
        )

    def _make_watches(self, series: Series) -> None:
        self.watches_open = series.gauge("supervisor_watches_open", "Open calls of WatchJobs.")
        self.watches_too_slow = series.counter(
            "supervisor_watches_too_slow",
            "Calls of WatchJobs that ended because their clients are too slow.",
        )

    def _make_access(self, series: Series, labels: Labels) -> None:
        self.auth_failures = series.counter(
            "supervisor_auth_failures", "Calls that were refused.", reason=labels.auth_reasons
        )
        self.access_reload_success = series.gauge(
            "supervisor_access_reload_success",
            "1 if the access file was in order when it was last read; 0 without one.",
        )
        self.access_reload_success_at = series.gauge(
            "supervisor_access_reload_success_timestamp_seconds",
            "When the access file in use was read; 0 without one.",
        )

    def _make_tls(self, series: Series) -> None:
        self.tls_certificate = series.gauge(
            "supervisor_tls_certificate_timestamp_seconds",
            "From when and until when the certificate in use is valid; 0 without TLS.",
            port=TLS_PORTS,
            edge=["not_before", "not_after"],
        )
        self.tls_client_authority = series.gauge(
            "supervisor_tls_client_authority_timestamp_seconds",
            "When the authority of clients that expires first is valid; 0 if there is none.",
            edge=["not_before", "not_after"],
        )
        self.tls_files_refused = series.gauge(
            "supervisor_tls_files_refused",
            "1 while the files of a port do not fit, and the certificate before is in use.",
            port=TLS_PORTS,
        )
        self.tls_handshake_failures = series.counter(
            "supervisor_tls_handshake_failures",
            "Connections that failed before they could be used.",
            port=HANDSHAKE_PORTS,
            reason=HANDSHAKE_REASONS,
        )
