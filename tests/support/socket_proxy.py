"""The example's HAProxy in front of an Engine's socket, as a process of its own."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import apt
from scripts.socket_proxy import PAGE, rule
from service.engine.docker.engine_requests import PULL, REQUESTS, EngineRequest
from tests.support.supervised import eventually

_SILENT = "http-request set-log-level silent if { var(txn.allowed) -m bool }"
_PULLS = f"# {rule(PULL)}"
_LINE = re.compile(r"(?P<verdict>refused|allowed): (?P<method>[A-Z]+) (?P<path>\S+)")


class SocketProxy:
    """A proxy that runs; `host` is the DOCKER_HOST of its clients."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "docker.sock"
        self.host = f"unix://{self.socket}"
        self.log = folder / "log"

    @property
    def refused(self) -> list[str]:
        """Method and path of each refused request, as the log tells them."""
        return [f"{line['method']} {line['path']}" for line in self._lines("refused")]

    @property
    def allowed(self) -> list[EngineRequest]:
        """The kinds of requests that were let through."""
        lines = self._lines("allowed")
        return [r for r in REQUESTS if any(_is_of(line, r) for line in lines)]

    def _lines(self, verdict: str) -> list[re.Match[str]]:
        return [m for m in _LINE.finditer(self.log.read_text()) if m["verdict"] == verdict]


def _is_of(line: re.Match[str], request: EngineRequest) -> bool:
    return line["method"] == request.method and bool(re.fullmatch(request.pattern, line["path"]))


@contextmanager
def a_socket_proxy(
    folder: Path, engine: Path, *, log_all: bool = False, group: int = 0, pulls: bool = False
) -> Iterator[SocketProxy]:
    """A proxy to the socket of an Engine, with the configuration of the example.

    `group` may use its socket. With `pulls`, the rule for them is there, too.
    """
    apt.ensure("haproxy", "haproxy")
    folder.mkdir(exist_ok=True)
    proxy = SocketProxy(folder)
    config = folder / "haproxy.cfg"
    text = PAGE.read_text()
    if pulls:
        assert _PULLS in text
        text = text.replace(_PULLS, _PULLS.removeprefix("# "))
    if log_all:
        assert _SILENT in text
        verdict = "%[var(txn.allowed),iif(allowed,refused)]"
        text = text.replace(_SILENT, "").replace('"refused: ', f'"{verdict}: ')
    config.write_text(text)
    with proxy.log.open("wb") as log:
        process = subprocess.Popen(
            ["haproxy", "-db", "-f", str(config)],
            env={"ENGINE_SOCKET": str(engine), "PROXY_SOCKET": str(proxy.socket)},
            executable="/usr/sbin/haproxy",
            group=group,
            stdout=log,
            stderr=log,
        )
    try:
        eventually(proxy.socket.exists, within=30)
        yield proxy
    finally:
        process.terminate()
        process.wait(30)
