"""A real Prometheus beside a supervisor: Debian's, on the loopback, with a folder of its own."""

import json
import math
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from scripts import apt
from tests.support.supervised import eventually, free_port

# As dashboards/prometheus/prometheus.yml, which alerts rely on for the job's name.
_CONFIG = """\
global:
  scrape_interval: {interval}
  scrape_timeout: {interval}
  evaluation_interval: {interval}
rule_files: {rules}
scrape_configs:
  - job_name: supervisor
    static_configs:
      - targets: ["{target}"]
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: its labels, and its values by time."""

    labels: Mapping[str, str]
    values: Sequence[tuple[float, float]]

    @property
    def numbers(self) -> list[float]:
        """The values that are numbers."""
        return [value for _, value in self.values if not math.isnan(value)]


class Prometheus:
    """Scrapes one target, and evaluates rules, until the end of the block."""

    def __init__(
        self, directory: Path, target: str, *, interval: str = "1s", rules: Sequence[Path] = ()
    ) -> None:
        self._directory = directory / "prometheus"
        self._directory.mkdir()
        self._address = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        paths = json.dumps([str(path) for path in rules])
        config = _CONFIG.format(interval=interval, rules=paths, target=target)
        (self._directory / "prometheus.yml").write_text(config)

    def __enter__(self) -> Self:
        apt.ensure("prometheus", "prometheus")
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self._directory}/prometheus.yml",
                    f"--storage.tsdb.path={self._directory}/data",
                    f"--web.listen-address={self._address}",
                    "--enable-feature=exemplar-storage",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            eventually(self._scrapes, within=30)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()  # nothing of it is kept
        self._process.wait()

    def now(self, expression: str, *, at: float | None = None) -> list[Series]:
        """What an expression gives at a time, or now. Raises ValueError where it is none."""
        answer = self._ask("query", query=expression, time=at or time.time())
        return [Series(each["metric"], [_sample(each["value"])]) for each in answer["result"]]

    def over(self, expression: str, began: float, ended: float, step: float = 1) -> list[Series]:
        """What an expression gives over a time. Raises ValueError where it is none."""
        answer = self._ask("query_range", query=expression, start=began, end=ended, step=step)
        return [
            Series(each["metric"], [*map(_sample, each["values"])]) for each in answer["result"]
        ]

    def exemplars(self, expression: str, began: float, ended: float) -> list[dict[str, Any]]:
        """The exemplars of an expression's series, as Grafana asks for them."""
        answer = self._ask("query_exemplars", query=expression, start=began, end=ended)
        return [exemplar for series in answer for exemplar in series["exemplars"]]

    def label_values(self, label: str, series: str) -> list[str]:
        """The values of a label, as Grafana asks for them where a dashboard lets one choose."""
        return list(self._ask(f"label/{label}/values", **{"match[]": series}))

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, with its health."""
        groups = self._ask("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _scrapes(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "log").read_text()
        try:
            return any(1 in series.numbers for series in self.now("up"))
        except (URLError, ValueError):  # it is not up, or is still loading its data
            return False

    def _ask(self, what: str, **parameters: object) -> Any:
        url = f"http://{self._address}/api/v1/{what}?{urlencode(parameters)}"
        try:
            with urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            raise ValueError(f"{parameters}: {error.read().decode()}") from None


def _sample(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
