"""Follows docs/tutorial.md, block by block, as a reader does."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Self

from tests.support.supervised import Supervised, eventually, free_port

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"`(weather/[\w.]+)`:")
_TIME = re.compile(r"^[\d:.]+  ")
_BACKEND = ".venv/bin/python -m examples.backend --port 50050"
_SERVE = "GO_ENV=production JOB_CATALOG=weather/catalog.toml .venv/bin/area-supervisor serve"
_LINES = 40


class Block(NamedTuple):
    """What stands between fences, and the last line before it."""

    before: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    """Every block of the page, in its order."""
    parts = _FENCE.split((ROOT / "docs" / "tutorial.md").read_text())
    for before, language, text in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        yield Block(before.strip().rpartition("\n")[2], language, text)


class Reader:
    """Does what the page says, in a folder with the page's files. `make` has been done."""

    def __init__(self, folder: Path, host: str, serve: Callable[[str, str], Supervised]) -> None:
        """`serve` starts a supervisor with a catalogue, for a backend at a port."""
        self._folder, self._serve = folder, serve
        self._environment = os.environ | {"DOCKER_HOST": host}
        self._ports = {"50050": str(free_port())}
        self._stack = ExitStack()
        self._command = ""
        self._backend: subprocess.Popen[str] | None = None
        for name in (".venv", "examples"):
            (folder / name).symlink_to(ROOT / name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def follow(self, block: Block) -> None:
        """Write a file, run commands, or see that they print what the page shows."""
        if match := _FILE.fullmatch(block.before):
            (self._folder / match[1]).write_text(self._with_our_ports(block.text))
        elif block.language == "sh":
            for command in block.text.splitlines():
                self._run(command)
        elif block.before.endswith("backend prints:"):
            assert self._told(_TIME.sub("", block.text, count=1)), block.text
        else:
            expected = sorted(block.text.splitlines())
            eventually(lambda: expected == sorted(set(self._output().splitlines())), within=30)

    def _with_our_ports(self, text: str) -> str:
        for shown, used in self._ports.items():
            text = text.replace(shown, used)
        return text

    def _run(self, command: str) -> None:
        if command == _BACKEND:
            self._start_the_backend(self._with_our_ports(command))
        elif command == _SERVE:
            catalog = str(self._folder / "weather" / "catalog.toml")
            self._ports["50051"] = str(self._serve(catalog, self._ports["50050"]).port)
        elif not command.startswith("make "):
            self._command = command
            eventually(self._succeeds, within=60)  # a container may still use the image

    def _succeeds(self) -> bool:
        with suppress(subprocess.CalledProcessError):
            self._output()
            return True
        return False

    def _output(self) -> str:
        """What the last command prints, each time that it is run."""
        return subprocess.check_output(
            shlex.split(self._command), cwd=self._folder, env=self._environment, text=True
        )

    def _start_the_backend(self, command: str) -> None:
        self._backend = subprocess.Popen(
            shlex.split(command), cwd=self._folder, stdout=subprocess.PIPE, text=True
        )
        self._stack.enter_context(self._backend)
        self._stack.callback(self._backend.kill)

    def _told(self, expected: str) -> bool:
        """Whether the backend prints this line soon, whatever the time is."""
        assert self._backend is not None
        assert self._backend.stdout is not None
        lines = (_TIME.sub("", line, count=1) for line in self._backend.stdout)
        return any(line == expected for line, _ in zip(lines, range(_LINES), strict=False))
