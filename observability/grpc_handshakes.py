"""Failed TLS handshakes of the gRPC server. gRPC prints them, and reports them in no other way."""

import re
from collections.abc import Callable

# As gRPC 1.85 prints them: the level and the time, the thread, the place in its source, the text.
_FAILED = re.compile(
    r"[IWE]\d{4} [\d:.]+ +\d+ ssl_transport_security\.cc:\d+\] Handshake failed with error (.*)"
)
# BoringSSL's name of the error; for a certificate that it has refused, also why.
_ERROR = re.compile(r"OPENSSL_internal:(\w+(?:: (?!Invalid certificate verification).+)?)")


def taking_failed_handshakes(report: Callable[[str], None]) -> Callable[[str], bool]:
    """A function that takes these lines, and gives their errors to `report`.

    Traces that are exported to a collector with TLS are handshakes of gRPC, too.
    """

    def take(line: str) -> bool:
        if not (failed := _FAILED.match(line)):
            return False
        known = _ERROR.search(failed[1])
        report(known[1] if known else failed[1])
        return True

    return take
