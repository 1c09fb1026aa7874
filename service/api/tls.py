"""TLS of the gRPC server, whose certificates are renewed while it runs.

gRPC does the handshakes. It speaks TLS 1.2 or later only.
"""

import time
from collections.abc import Callable

import grpc

from service.support.tls_files import Certificates

# A client may resume an earlier session, and its certificate is not looked at again. With another
# configuration, even of the same certificates, it cannot: so one that has expired in the meantime
# lets nobody in for longer than this (seconds).
_RESUMABLE = 60.0


def server_credentials(latest: Callable[[], Certificates]) -> grpc.ServerCredentials:
    """Credentials that use the latest certificates for each new connection."""
    in_use, since = latest(), time.monotonic()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """A new configuration, if it is time. gRPC asks before each handshake, in its threads."""
        nonlocal in_use, since
        found, now = latest(), time.monotonic()
        asked = found.client_authorities is not None
        if found is in_use and not (asked and now - since >= _RESUMABLE):
            return None
        in_use, since = found, now
        return _configuration(found)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(in_use),
        fetch,  # type: ignore[arg-type]  # None is for no change
        require_client_authentication=in_use.client_authorities is not None,
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    pairs = [(certificates.key, certificates.chain)]
    return grpc.ssl_server_certificate_configuration(pairs, certificates.client_authorities)
