"""A Docker Engine as systemd runs it: its socket is systemd's, and there also while it is away."""

import socket
import sys
from pathlib import Path

from scripts.private_engine import PrivateEngine

# The socket has to be number 3, and the variables have to name the Engine's own process.
_WITH_THE_SOCKET = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execvp(sys.argv[2], sys.argv[2:])
"""


class ActivatedEngine(PrivateEngine):
    """Started with a socket that somebody else listens at (`dockerd -H fd://`)."""

    def __init__(self, directory: Path | None = None) -> None:
        super().__init__(directory)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.socket))
        self._listener.listen(128)
        self._pass_fds = [self._listener.fileno()]

    def close(self) -> None:
        """See `PrivateEngine.close`."""
        super().close()
        self._listener.close()

    def command(self, program: str, *arguments: str) -> list[str]:
        if program != "dockerd":
            return super().command(program, *arguments)
        options = ["--host=fd://" if each.startswith("--host=") else each for each in arguments]
        number = str(self._listener.fileno())
        command = super().command(program, *options)
        return [sys.executable, "-c", _WITH_THE_SOCKET, number, *command]
