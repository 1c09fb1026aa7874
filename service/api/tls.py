"""TLS of the gRPC server, whose certificates are renewed while it runs.

gRPC does the handshakes. It speaks TLS 1.2 or later only.
"""

from collections.abc import Callable

import grpc

from service.support.tls_files import Certificates


def server_credentials(latest: Callable[[], Certificates]) -> grpc.ServerCredentials:
    """Credentials that use the latest certificates for each new connection."""
    in_use = latest()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """The certificates, if they are new. gRPC asks before each handshake, in its threads."""
        nonlocal in_use
        if (found := latest()) is in_use:
            return None
        in_use = found
        return _configuration(found)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(in_use),
        fetch,  # type: ignore[arg-type]  # None is for no change
        require_client_authentication=in_use.client_authorities is not None,
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    pairs = [(certificates.key, certificates.chain)]
    return grpc.ssl_server_certificate_configuration(pairs, certificates.client_authorities)
