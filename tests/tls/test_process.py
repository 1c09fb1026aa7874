"""TLS of a process: its start, renewals, failed handshakes and health checks. It has no Engine."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from scripts.certificates import EXPIRED, Authority, Files, Pair
from scripts.ports import free_port
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.area_types_pb2 import AuthenticatedJobData
from tests.support.supervised import Scrape, Supervised, eventually, refusal, run_command

_OURS, _THEIRS = Authority("ours"), Authority("theirs")
_SUPERVISOR = _OURS.issue("supervisor", "127.0.0.1")
_CLIENT = _OURS.issue("backend.area.internal")
_SECONDS = 30


class _Secured(Supervised):
    """A supervisor whose ports speak TLS; its clients need certificates."""

    def __init__(self, directory: Path) -> None:
        self.folder = directory / "mounted"
        self.mount(_SUPERVISOR)
        self.console_port = free_port()
        (directory / "clients.crt").write_bytes(_OURS.pem)
        self.settings = {
            "DOCKER_HOST": f"unix://{directory}/none.sock",
            "GRPC_TLS_CLIENT_CA_FILE": str(directory / "clients.crt"),
            "CONSOLE_PORT": str(self.console_port),
            **self.files.settings("GRPC"),
            **self.files.settings("METRICS"),
        }
        super().__init__(directory, self.settings)

    @property
    def files(self) -> Files:
        return Files(self.folder / "tls.crt", self.folder / "tls.key")

    def mount(self, pair: Pair) -> None:
        """Swap the link to the files, as Kubernetes does when a Secret has changed."""
        data = self.folder / "..data"
        version = self.folder / f"..version-{len(list(self.folder.glob('..version-*')))}"
        pair.write(version)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(data)
        for name in ("tls.crt", "tls.key"):
            with suppress(FileExistsError):
                (self.folder / name).symlink_to(f"..data/{name}")

    def connect(self, pair: Pair | None = _CLIENT, trusts: Authority = _OURS) -> grpc.Channel:
        """A connection of its own."""
        key, chain = (pair.key, pair.chain) if pair else (None, None)
        credentials = grpc.ssl_channel_credentials(trusts.pem, key, chain)
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(f"127.0.0.1:{self.port}", credentials, options)

    def asks(self, pair: Pair | None = _CLIENT, trusts: Authority = _OURS) -> grpc.StatusCode:
        """The status of a health check over a connection of its own."""
        with self.connect(pair, trusts) as channel:
            check = HealthStub(channel).Check  # type: ignore[attr-defined]
            try:
                check(HealthCheckRequest(service="liveness"), timeout=_SECONDS)
            except grpc.RpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    def is_alive(self) -> bool:
        """Whether it answers; False before its port is open."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        return self.asks() is grpc.StatusCode.OK

    def scrape(self) -> Scrape:
        """All metrics, over TLS, whatever the certificate is."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.metrics_port), _SECONDS) as raw,
            context.wrap_socket(raw) as secured,
        ):
            secured.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            answer = b""
            while more := secured.recv(65536):
                answer += more
        return Scrape(answer.partition(b"\r\n\r\n")[2].decode())

    def failures(self, reason: str, port: str = "grpc") -> float:
        name = "supervisor_tls_handshake_failures_total"
        return self.metric(name, port=port, reason=reason)


@pytest.fixture(scope="module")
def long_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Secured]:
    secured = _Secured(tmp_path_factory.mktemp("secured"))
    secured.start(ready=False)
    eventually(secured.is_alive, within=60)
    yield secured
    secured.__exit__(None, None, None)


@pytest.fixture
def secured(long_running: _Secured) -> Iterator[_Secured]:
    """The module's supervisor, with the certificate that it began with."""
    yield long_running
    long_running.mount(_SUPERVISOR)
    eventually(long_running.is_alive)
    eventually(lambda: 0 == long_running.metric("supervisor_tls_files_refused"))


def test_a_renewed_certificate_is_used_without_a_restart(secured: _Secured) -> None:
    secured.mount(_THEIRS.issue("127.0.0.1"))
    eventually(lambda: secured.asks(trusts=_THEIRS) is grpc.StatusCode.OK, within=_SECONDS)
    assert grpc.StatusCode.UNAVAILABLE == secured.asks()
    eventually(lambda: {"grpc", "http"} <= {e["port"] for e in secured.events("tls.renewed")})


def test_a_pair_that_does_not_fit_is_refused_and_told_and_the_old_one_stays(
    secured: _Secured,
) -> None:
    for pair, what in (
        (Pair(_SUPERVISOR.chain, _CLIENT.key), "is not the key of the certificate"),
        (_OURS.issue("127.0.0.1", lifetime=EXPIRED), "certificate has expired"),
        (Pair(_SUPERVISOR.chain[:300], _SUPERVISOR.key), "has no certificates"),
    ):
        secured.mount(pair)
        eventually(
            lambda what=what: any(what in e["reason"] for e in secured.events("tls.refused")),  # type: ignore[misc]
            within=_SECONDS,
        )
        assert 1 == secured.metric("supervisor_tls_files_refused", port="grpc")
        assert grpc.StatusCode.OK == secured.asks()
    assert "PRIVATE" not in secured.log()
    secured.mount(_SUPERVISOR)
    eventually(lambda: 0 == secured.metric("supervisor_tls_files_refused"), within=_SECONDS)


def test_the_lifetime_of_the_certificate_in_use_is_a_metric(secured: _Secured) -> None:
    name = "supervisor_tls_certificate_timestamp_seconds"
    edges = [secured.metric(name, port="grpc", edge=e) for e in ("not_before", "not_after")]
    assert 31 * 86_400 == pytest.approx(edges[1] - edges[0], abs=10)
    of_clients = "supervisor_tls_client_authority_timestamp_seconds"
    edges = [secured.metric(of_clients, edge=e) for e in ("not_before", "not_after")]
    assert 31 * 86_400 == pytest.approx(edges[1] - edges[0], abs=10)


def test_failed_handshakes_are_counted_events_of_ours_and_no_lines_of_grpc(
    secured: _Secured,
) -> None:
    reasons: dict[str, Callable[[], object]] = {
        "no_certificate": lambda: secured.asks(None),
        "bad_certificate": lambda: secured.asks(_THEIRS.issue("backend.area.internal")),
        "no_tls": lambda: _send(secured.port, b"GET / HTTP/1.1\r\n\r\n"),
        "old_tls": lambda: _send(secured.port, _HELLO_OF_TLS_1_0),
    }
    for reason, fail in reasons.items():
        before = secured.failures(reason)
        fail()
        eventually(lambda: secured.failures(reason) > before)  # noqa: B023 - it is called at once
    told = {event["reason"]: event["error"] for event in secured.events("tls.handshake_failed")}
    assert reasons.keys() <= told.keys()
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" == told["no_certificate"]
    assert (
        "CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate"
        == (told["bad_certificate"])
    )
    for line in secured.lines():
        json.loads(line)


@pytest.mark.parametrize("port", ["http", "console"])
def test_failed_handshakes_of_the_other_ports_are_events_too(secured: _Secured, port: str) -> None:
    before = secured.failures("no_tls", port)
    number = {"http": secured.metrics_port, "console": secured.console_port}[port]
    _send(number, b"GET / HTTP/1.1\r\n\r\n")
    eventually(lambda: before + 1 == secured.failures("no_tls", port))
    told = [e for e in secured.events("tls.handshake_failed") if e["port"] == port]
    assert told[-1]["peer"].startswith("127.0.0.1:")


def _send(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), _SECONDS) as connection:
        connection.sendall(data)
        with suppress(ConnectionResetError):
            while connection.recv(9999):
                pass


# A ClientHello for TLS 1.0 at most, with one cipher suite and no extensions.
_HELLO_OF_TLS_1_0 = bytes.fromhex(
    "160301002d010000290301" + "11" * 32 + "00" + "0002" + "c013" + "0100"
)


@pytest.mark.parametrize("which", ["liveness", ""])
def test_the_health_check_works_although_clients_need_certificates(
    secured: _Secured, tmp_path: Path, which: str
) -> None:
    ports = {"GRPC_SERVER_PORT": str(secured.port), "METRICS_PORT": str(secured.metrics_port)}
    environment = secured.settings | ports
    done = run_command(tmp_path, environment, "health", "--service", which)
    expected = (0, "alive\n") if which else (1, "the Docker Engine")
    assert expected[0] == done.returncode, done.stdout
    assert done.stdout.startswith(expected[1])


def test_the_start_does_not_say_that_a_closed_port_is_open(secured: _Secured) -> None:
    assert list(secured.events("supervisor.started"))
    assert [] == list(secured.events("security.open"))


# ---------------------------------------------------------------- starts


def test_an_open_port_is_told_once_at_the_start(tmp_path: Path) -> None:
    host = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    supervised = Supervised(tmp_path, host)
    supervised.start(ready=False)
    try:
        (told,) = eventually(lambda: list(supervised.events("security.open")), within=60)
    finally:
        supervised.__exit__(None, None, None)
    assert ("warning", supervised.port) == (told["level"], told["grpc_port"])


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"GRPC_TLS_CERT_FILE": "x"},
            "GRPC_TLS_KEY_FILE: is not set, but GRPC_TLS_CERT_FILE is; allowed are both or neither",
        ),
        (
            {"METRICS_TLS_KEY_FILE": "x"},
            (
                "METRICS_TLS_CERT_FILE: is not set, but METRICS_TLS_KEY_FILE is;"
                " allowed are both or neither"
            ),
        ),
        (
            {"GRPC_TLS_CLIENT_CA_FILE": "x"},
            (
                "GRPC_TLS_CLIENT_CA_FILE=x: needs GRPC_TLS_CERT_FILE and GRPC_TLS_KEY_FILE;"
                " allowed are all three, or none of them"
            ),
        ),
        (
            {"GRPC_TLS_CERT_FILE": "none.crt", "GRPC_TLS_KEY_FILE": "none.key"},
            (
                "GRPC_TLS_CERT_FILE=none.crt: cannot be read (No such file or directory);"
                " allowed is a PEM file with a certificate that is valid now and whose key is RSA,"
                " or ECDSA with P-256 or P-384, followed by those of the authorities in between"
            ),
        ),
    ],
)
def test_files_that_do_not_fit_are_told_in_one_line(
    settings: dict[str, str], line: str, tmp_path: Path
) -> None:
    done = run_command(tmp_path, settings, "check")
    assert (1, f"area-supervisor: {line}\n") == (done.returncode, done.stdout)


def test_a_pair_that_does_not_fit_ends_a_start_in_one_line(tmp_path: Path) -> None:
    files = Pair(_SUPERVISOR.chain, _CLIENT.key).write(tmp_path)
    supervised = Supervised(tmp_path, files.settings("METRICS"))
    supervised.start(ready=False)
    assert refusal(supervised).startswith(
        f"area-supervisor: METRICS_TLS_KEY_FILE={files.key}: is not the key of the certificate in"
        f" METRICS_TLS_CERT_FILE={files.chain}; allowed is "
    )


def test_without_an_access_file_the_certificate_names_the_client(secured: _Secured) -> None:
    with secured.connect() as channel:
        stub = AreaSupervisorServiceStub(channel)
        request = AuthenticatedJobData(name="unheard-of", identifier="x")
        assert 404 == stub.LaunchJob(request, timeout=_SECONDS).error.code
    (event,) = eventually(lambda: list(secured.events("call.audited")))
    name = "dns:backend.area.internal"
    assert ("x", name, name, "unknown_job") == (
        event["identifier"],
        event["client"],
        event["certificate"],
        event["outcome"],
    )
    (failed,) = secured.events("request.failed")
    assert name == failed["client"]
