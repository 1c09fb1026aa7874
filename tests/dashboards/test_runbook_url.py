"""Where the alerts' runbook_url leads, as a real Prometheus tells an Alertmanager."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import yaml

from scripts import apt
from scripts.ports import free_port
from scripts.private_engine import PrivateEngine
from tests.dashboards.test_alerts import FOLDER, ROOT
from tests.dashboards.test_promtool import promtool
from tests.support.compose import PROFILE, Compose

_ELSEWHERE = "https://wiki.example/on-call/supervisor?page=7"
_SED = re.compile(r"^sed -i .*$", re.MULTILINE)

Told = Queue[list[dict[str, Any]]]


@contextmanager
def _alertmanager() -> Iterator[tuple[str, Told]]:
    """Its address, and what it is told."""
    told: Told = Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", told
        server.shutdown()


def _configured(directory: Path, alertmanager: str) -> Path:
    """The configuration as it is, but quick, with a target that is down and an Alertmanager."""
    text = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    text["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    text["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{free_port()}"]}]
    text["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    rules = (FOLDER / "alerts.yml").read_text().replace("for: 1m\n", "for: 0s\n")
    (directory / "alerts.yml").write_text(rules)
    (directory / "prometheus.yml").write_text(yaml.safe_dump(text))
    return directory / "prometheus.yml"


@contextmanager
def _prometheus(file: Path, service: Mapping[str, Any]) -> Iterator[None]:
    """Debian's, with the features and the environment that the compose file gives to its own."""
    apt.ensure("prometheus", "prometheus")
    features = [word for word in service["command"] if word.startswith("--enable-feature=")]
    command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={file.parent}/data"]
    command += [f"--web.listen-address=127.0.0.1:{free_port()}", *features]
    with (file.parent / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | service["environment"], stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.kill()  # nothing of it is kept
        process.wait()


@pytest.mark.parametrize(
    ("variables", "runbook"),
    [("", "docs/runbook.md"), (f"RUNBOOK_URL={_ELSEWHERE}", _ELSEWHERE)],
    ids=["in this repository", "elsewhere"],
)
def test_the_links_lead_to_where_the_setting_says(
    engine: PrivateEngine, variables: str, runbook: str, tmp_path: Path
) -> None:
    service = Compose(engine, tmp_path).config(PROFILE, variables=variables)["prometheus"]
    with (
        _alertmanager() as (address, told),
        _prometheus(_configured(tmp_path, address), service),
    ):
        (alert,) = told.get(timeout=60)
    assert f"{runbook}#supervisordown" == alert["annotations"]["runbook_url"]
    # The label is no part of the alert: with another address it would be another one.
    assert {"alertname", "instance", "job", "severity"} == alert["labels"].keys()


def test_who_copies_the_rules_can_write_the_address_into_them(tmp_path: Path) -> None:
    (line,) = _SED.findall((ROOT / "docs" / "observability.md").read_text())
    (address,) = re.findall(r"https://[^\"|]+", line)
    (tmp_path / "alerts.yml").write_text((FOLDER / "alerts.yml").read_text())
    subprocess.run(line, shell=True, cwd=tmp_path, check=True)
    # The first of their tests, with the address in place of the path.
    first, _, _ = (FOLDER / "alerts.test.yml").read_text().partition("\n  - name: a runbook that")
    assert 1 == first.count(" docs/runbook.md#")
    (tmp_path / "copied.test.yml").write_text(first.replace(" docs/runbook.md#", f" {address}#"))
    promtool("test", "rules", str(tmp_path / "copied.test.yml"))
