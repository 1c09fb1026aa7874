"""Reports TLS handshakes that have failed. OpenSSL and BoringSSL name the reasons alike."""

import re

from observability.logs import get_logger
from observability.metrics import Metrics

log = get_logger(__name__)

# A word of the library's text, and the reason that it stands for. The first match counts.
_REASONS = (
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "no_certificate"),
    ("CERTIFICATE_VERIFY_FAILED", "bad_certificate"),
    ("ALERT", "refused"),
    ("UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW", "old_tls"),
    ("HTTP_REQUEST|HTTPS_PROXY_REQUEST|WRONG_VERSION_NUMBER|RECORD_TOO|BAD_RECORD_TYPE", "no_tls"),
)


class FailedHandshakes:
    """Counts and logs the failed handshakes of a port."""

    def __init__(self, port: str, metrics: Metrics) -> None:
        """`port` is one of `HANDSHAKE_PORTS`."""
        self._port = port
        self._failures = metrics.tls_handshake_failures

    def report(self, error: str, peer: str = "") -> None:
        """`error` is the library's text. `peer` is the client, if known."""
        reason = next((name for words, name in _REASONS if re.search(words, error)), "other")
        self._failures.labels(self._port, reason).inc()
        log.info(
            "tls.handshake_failed",
            port=self._port,
            reason=reason,
            error=error,
            **({"peer": peer} if peer else {}),
        )
