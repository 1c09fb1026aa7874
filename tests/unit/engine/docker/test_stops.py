"""Stops on an Engine that must not be left with one."""

import asyncio
import json
import threading
import time
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import Any

import pytest

from service.app.metric_labels import new_metrics
from service.engine.docker import stops
from service.engine.docker.connection import Connection
from service.engine.docker.engine import DockerEngine

_NEVER = "0001-01-01T00:00:00Z"


def _container(*, runs: bool) -> dict[str, Any]:
    state = {
        "Status": "running" if runs else "exited",
        "Paused": False,
        "OOMKilled": False,
        "ExitCode": 0 if runs else 137,
        "StartedAt": _NEVER,
        "FinishedAt": _NEVER,
    }
    return {"Id": "c", "State": state, "Config": {}}


class _Docker24:
    """One, as far as a stop is concerned, with a container that does not heed SIGTERM."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []
        self._runs = True

    def answer(self, path: str) -> Any:
        """None where there is none for now."""
        action = path.rpartition("/")[2]
        if action == "version":
            return {"ApiVersion": "1.43"}
        if action == "json":
            return _container(runs=self._runs)
        self.asked.append((action, time.monotonic()))
        self._runs = self._runs and not action.startswith("stop")
        return None if action == "wait" else {}


async def test_the_grace_is_kept_here_where_the_engine_would_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stops, "_KILL_DELAY", 60.0)  # is for an Engine that sends SIGKILL itself
    docker = _Docker24()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            while head := self.request.recv(10_000).decode():
                if (answer := docker.answer(head.split(" ")[1])) is not None:
                    body = json.dumps(answer)
                    self.wfile.write(
                        f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
                    )

    with ThreadingUnixStreamServer(str(tmp_path / "sock"), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        metrics = new_metrics([], version="test", engine="docker", mode="test")
        engine = DockerEngine(Connection(f"unix://{tmp_path}/sock"), {}, metrics)
        async with asyncio.timeout(30):
            exited = await engine.stop("c", grace=1)
        await engine.close()
        server.shutdown()
    assert exited is None  # an inspect tells
    (_, sent), _, (_, killed) = docker.asked
    assert ["kill?signal=SIGTERM", "wait", "stop?t=0"] == [action for action, _ in docker.asked]
    assert 1 <= killed - sent
