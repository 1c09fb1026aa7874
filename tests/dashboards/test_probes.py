"""The probes that the documents show: they parse, and they ask for what the supervisor has."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.private_engine import PrivateEngine
from service.api.health import LIVENESS
from service.api.jobs_service import SERVICE
from service.settings import Settings
from tests.support.compose import ROOT, Compose
from tests.support.supervised import COMMAND

_GRPC = Settings.model_fields["grpc_server_port"].default
_HTTP = Settings.model_fields["metrics_port"].default
_READINESS = {"", SERVICE, "/readyz"}
# What a probe has to bear: a turn of a busy event loop may take 2 s, a start half a minute.
_LEAST_TIMEOUT = 3
_START = 30


def _examples(language: str) -> list[str]:
    text = "".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))
    return re.findall(f"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _probes(part: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every probe of Kubernetes in a document, with its kind."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key.endswith("Probe"):
                yield key.removesuffix("Probe"), value
            yield from _probes(value)
    elif isinstance(part, list):
        for item in part:
            yield from _probes(item)


def _asks_for(probe: Mapping[str, Any]) -> str:
    if grpc := probe.get("grpc"):
        assert _GRPC == grpc["port"]
        return str(grpc.get("service", ""))
    assert _HTTP == probe["httpGet"]["port"]
    return str(probe["httpGet"]["path"])


def test_kubernetes_restarts_on_liveness_and_routes_on_readiness() -> None:
    probes = [probe for text in _examples("yaml") for probe in _probes(yaml.safe_load(text))]
    assert ["startup", "liveness", "readiness", "liveness", "readiness"] == [k for k, _ in probes]
    for kind, probe in probes:
        expected = _READINESS if kind == "readiness" else {LIVENESS, "/livez"}
        assert _asks_for(probe) in expected
        assert probe["timeoutSeconds"] >= _LEAST_TIMEOUT
    startup = dict(probes)["startup"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= _START


def test_compose_takes_its_example(engine: PrivateEngine, tmp_path: Path) -> None:
    (text,) = (text for text in _examples("yaml") if "healthcheck:" in text)
    (tmp_path / "override.yml").write_text(text)
    merged = Compose(engine, tmp_path).run("--file", str(tmp_path / "override.yml"), "config")
    check = yaml.safe_load(merged)["services"]["supervisor"]["healthcheck"]
    assert ["CMD", "area-supervisor", "health", "--service", ""] == check["test"]
    assert f"{_START}s" == check["start_period"]


def test_nomad_restarts_on_liveness_alone() -> None:
    (text,) = _examples("hcl")
    alive, ready = re.findall(r"^  check \{\n(.*?)^  \}", text, re.DOTALL | re.MULTILINE)
    assert f'grpc_service = "{LIVENESS}"' in alive
    assert "check_restart {" in alive
    assert "check_restart {" not in ready
    assert '"/readyz"' in ready
    assert [str(_GRPC), str(_HTTP)] == re.findall(r"static = (\d+)", text)


def test_systemd_takes_its_unit(tmp_path: Path) -> None:
    (text,) = _examples("ini")
    (program,) = re.findall(r"^ExecStart=(\S+) serve$", text, re.MULTILINE)
    unit = tmp_path / "area-supervisor.service"
    unit.write_text(text.replace(program, COMMAND))
    verify = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
