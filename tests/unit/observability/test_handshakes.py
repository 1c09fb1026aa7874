"""Failed handshakes: gRPC's lines, and reasons by the words of TLS. Real ones: tests/tls."""

import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from observability.grpc_handshakes import taking_failed_handshakes
from observability.handshakes import FailedHandshakes
from service.app.metric_labels import new_metrics

_PLACE = "I1129 20:56:47.375737    4560 ssl_transport_security.cc:2563] "
_FAILED = f"{_PLACE}Handshake failed with error SSL_ERROR_SSL: error:"
_NOISE = ": Invalid certificate verification context"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (
            (
                f"{_FAILED}100000c0:SSL routines:OPENSSL_internal:"
                f"PEER_DID_NOT_RETURN_A_CERTIFICATE{_NOISE}"
            ),
            "PEER_DID_NOT_RETURN_A_CERTIFICATE",
        ),
        (
            (
                f"{_FAILED}1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:"
                " certificate has expired"
            ),
            "CERTIFICATE_VERIFY_FAILED: certificate has expired",
        ),
        (f"{_PLACE}Handshake failed with error odd", "odd"),
    ],
)
def test_a_failed_handshake_is_taken_with_its_error(line: str, error: str) -> None:
    errors: list[str] = []
    assert taking_failed_handshakes(errors.append)(line)
    assert [error] == errors


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Handshake failed with error x",
        f"{_PLACE}Invalid private key.",
        "E1129 20:56:50.7 4320 add_port.cc:56] Handshake failed with error x",
    ],
)
def test_other_lines_are_not_taken(line: str) -> None:
    assert not taking_failed_handshakes(pytest.fail)(line)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "no_certificate"),
        ("CERTIFICATE_VERIFY_FAILED: self-signed certificate", "bad_certificate"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "refused"),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:1006)", "refused"),
        ("[SSL: UNSUPPORTED_PROTOCOL] unsupported protocol (_ssl.c:1006)", "old_tls"),
        ("HTTP_REQUEST", "no_tls"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "no_tls"),
        ("NO_SHARED_CIPHER", "other"),
        ("", "other"),
    ],
)
def test_a_failed_handshake_is_counted_by_its_reason(error: str, reason: str) -> None:
    metrics = new_metrics([], version="1", engine="none", mode="test")
    with capture_logs() as logged:
        FailedHandshakes("http", metrics).report(error, "1.2.3.4:5")
    expected = {"port": "http", "reason": reason, "error": error, "peer": "1.2.3.4:5"}
    assert [expected] == [{key: event[key] for key in expected} for event in logged]
    samples = [s for f in metrics.registry.collect() for s in f.samples if s.value == 1]
    (counted,) = [s for s in samples if s.name == "supervisor_tls_handshake_failures_total"]
    assert {"port": "http", "reason": reason} == counted.labels


_TAKES_SOME = """
import os, sys
from observability.native_lines import NativeLines
taken = []
lines = NativeLines(lambda line: line.startswith("take ") and not taken.append(line))
os.write(2, b"keep 1\\ntake 1\\nkeep \\xff\\n")
os.write(2, b"take 2\\nkeep the last, without its end")
{more}
lines.close()
os.write(2, b"\\nafter")
print(taken)
"""


def _run(more: str = "") -> subprocess.CompletedProcess[bytes]:
    code = _TAKES_SOME.format(more=more)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)


def test_lines_that_are_not_taken_are_passed_on() -> None:
    done = _run()
    assert (0, b"['take 1', 'take 2']\n") == (done.returncode, done.stdout)
    assert b"keep 1\nkeep \xff\nkeep the last, without its end\nafter" == done.stderr


def test_what_python_prints_at_its_end_is_passed_on() -> None:
    done = _run("raise RuntimeError('the reason')")
    assert 1 == done.returncode
    assert done.stderr.endswith(b"RuntimeError: the reason\n")


def test_a_crash_still_tells_where_it_was() -> None:
    done = _run("os.abort()")
    assert done.returncode < 0
    assert b"Fatal Python error: Aborted" in done.stderr
