"""The certificates in use, as the files of a port change."""

from pathlib import Path

from structlog.testing import capture_logs

from scripts.certificates import VALID, Authority
from service.app.metric_labels import new_metrics
from service.app.tls_ports import TlsPorts
from service.settings import Settings
from service.support.file_watcher import FileWatcher
from tests.support.supervised import eventually

_AUTHORITY = Authority("ours")
_DAY = 86_400


def test_a_certificate_that_is_not_valid_yet_is_used_when_it_is(tmp_path: Path) -> None:
    """An authority whose clock is ahead issues such ones."""
    files = _AUTHORITY.issue("supervisor").write(tmp_path)
    settings = Settings.model_validate(
        {"grpc_tls_cert_file": files.chain, "grpc_tls_key_file": files.key}
    )
    metrics = new_metrics([], version="test", engine="none", mode="test")
    watcher = FileWatcher(0.05)
    latest = TlsPorts(settings, metrics, watcher).grpc
    assert latest
    with capture_logs() as logs:
        watcher.start()
        early = _AUTHORITY.issue("supervisor", lifetime=(6 / _DAY, VALID[1]))
        early.write(tmp_path)
        eventually(lambda: latest().chain == early.chain, within=60)
        eventually(lambda: logs[-1]["event"] == "tls.renewed")
    watcher.close()
    early_ones = [each for each in logs if "is not yet valid" in each.get("reason", "")]
    assert 1 == len(early_ones), "it is told once, however often it is tried"
