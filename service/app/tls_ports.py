"""The certificates of the ports that speak TLS, which are renewed while the process runs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from observability.grpc_handshakes import taking_failed_handshakes
from observability.handshakes import FailedHandshakes
from observability.http_handshakes import Tls
from observability.logs import get_logger
from observability.metrics import Metrics
from observability.native_lines import NativeLines
from service.diagnosis.live import PortCertificate
from service.errors import StartError
from service.settings import Settings
from service.support.file_watcher import FileWatcher
from service.support.tls_files import Certificates, TlsFile, TlsFiles, TlsFilesError

log = get_logger(__name__)


class TlsPorts:
    """The certificates of each port; None for a port that does not speak TLS."""

    def __init__(self, settings: Settings, metrics: Metrics, watcher: FileWatcher) -> None:
        """Read the files. Raises `StartError`."""
        self.grpc: Callable[[], Certificates] | None = None
        self.http: Tls | None = None
        self.console: Tls | None = None
        self._native_lines: NativeLines | None = None
        self._metrics = metrics
        self._ports: list[_TlsPort] = []
        if files := grpc_files(settings):
            port = self._open("grpc", files, watcher)
            self.grpc = port.latest
        if files := http_files(settings):
            port = self._open("http", files, watcher)
            self.http, self.console = (
                Tls(lambda: port.latest().context, FailedHandshakes(name, metrics).report)
                for name in ("http", "console")  # which have one certificate
            )

    def certificates(self) -> Sequence[PortCertificate]:
        """The certificates in use, and why changed files were refused, if they were."""
        return [port.in_use() for port in self._ports]

    def _open(self, name: str, files: TlsFiles, watcher: FileWatcher) -> "_TlsPort":
        port = _TlsPort(name, files, self._metrics, watcher)
        self._ports.append(port)
        return port

    def start(self) -> None:
        """Report failed handshakes of the gRPC port from here on."""
        if self.grpc:
            report = FailedHandshakes("grpc", self._metrics).report
            self._native_lines = NativeLines(taking_failed_handshakes(report))

    def close(self) -> None:
        if self._native_lines:
            self._native_lines.close()


class _TlsPort:
    """A port and its certificates in use.

    Files that change replace them, unless they do not fit. Then the old ones stay in use.
    """

    def __init__(self, port: str, files: TlsFiles, metrics: Metrics, watcher: FileWatcher) -> None:
        """Read the files. `port` is for logs and metrics. Raises `TlsFilesError`."""
        self._port, self._files, self._metrics = port, files, metrics
        self._refused = ""
        watcher.watch(files.paths, self._renew)  # before they are read: no change is missed
        self._use(files.read())

    def latest(self) -> Certificates:
        return self._certificates

    def in_use(self) -> PortCertificate:
        used = self._certificates
        return PortCertificate(
            self._port, used.not_before, used.not_after, self._refused, used.authority
        )

    def _use(self, certificates: Certificates) -> None:
        self._certificates = certificates
        edges = self._metrics.tls_certificate
        edges.labels(self._port, "not_before").set(certificates.not_before)
        edges.labels(self._port, "not_after").set(certificates.not_after)
        if self._files.client_authorities:
            begins, ends = certificates.authority or (0.0, 0.0)
            self._metrics.tls_client_authority.labels("not_before").set(begins)
            self._metrics.tls_client_authority.labels("not_after").set(ends)
        self._metrics.tls_files_refused.labels(self._port).set(0)

    def _renew(self) -> bool:
        """The files have changed: return whether they fit. This runs in the watcher's thread."""
        try:
            self._use(self._files.read())
        except TlsFilesError as error:
            self._refuse(str(error))
            return False
        self._refused = ""
        log.info("tls.renewed", port=self._port, not_after=_utc(self._certificates.not_after))
        return True

    def _refuse(self, reason: str) -> None:
        """Report once why the files do not fit. They are read again until they do."""
        self._metrics.tls_files_refused.labels(self._port).set(1)
        if reason != self._refused:
            log.error("tls.refused", port=self._port, reason=reason)
        self._refused = reason


def grpc_files(settings: Settings) -> TlsFiles | None:
    """The files of the gRPC port, None if it speaks no TLS. Raises `StartError`."""
    pair = _pair("GRPC", settings.grpc_tls_cert_file, settings.grpc_tls_key_file)
    if settings.grpc_tls_client_ca_file is None:
        return pair
    authorities = TlsFile("GRPC_TLS_CLIENT_CA_FILE", settings.grpc_tls_client_ca_file)
    if pair is None:
        needs = "GRPC_TLS_CERT_FILE and GRPC_TLS_KEY_FILE"
        raise StartError(f"{authorities}: needs {needs}; allowed are all three, or none of them")
    return TlsFiles(pair.chain, pair.key, authorities)


def http_files(settings: Settings) -> TlsFiles | None:
    """The files of the HTTP port, None if it speaks no TLS. Raises `StartError`."""
    return _pair("METRICS", settings.metrics_tls_cert_file, settings.metrics_tls_key_file)


def tls_files(settings: Settings) -> Mapping[str, TlsFiles]:
    """The files of each port that speaks TLS. Raises `StartError`."""
    ports = {"grpc": grpc_files(settings), "http": http_files(settings)}
    return {port: files for port, files in ports.items() if files}


def _pair(prefix: str, chain: Path | None, key: Path | None) -> TlsFiles | None:
    chain_setting, key_setting = f"{prefix}_TLS_CERT_FILE", f"{prefix}_TLS_KEY_FILE"
    if chain and key:
        return TlsFiles(TlsFile(chain_setting, chain), TlsFile(key_setting, key))
    if chain or key:
        given, missing = (chain_setting, key_setting) if chain else (key_setting, chain_setting)
        raise StartError(f"{missing}: is not set, but {given} is; allowed are both or neither")
    return None


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
