"""A line to the Engine that can be cut: gaps of exactly as long as a test wants them."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CHUNK = 65536

Carry = Callable[[socket.socket, socket.socket], None]
Directions = tuple[tuple[Carry, tuple[socket.socket, socket.socket]], ...]


class Line:
    """A Unix socket that passes everything on to another one, until it is cut."""

    def __init__(self, path: Path, to: Path) -> None:
        self._path, self._to = path, to
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self.posts = 0  # requests with a body that have been passed on, whole
        self.mend()

    @property
    def host(self) -> str:
        """What DOCKER_HOST is for it."""
        return f"unix://{self._path}"

    def mend(self) -> None:
        """Take connections, from now on."""
        self._listener = listener = self._listen()
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """End every connection, and take none: as if the Engine had died."""
        self.take_no_more()
        with self._lock:
            for connection in self._open:
                _end(connection)
            self._open.clear()

    def take_no_more(self) -> None:
        """Refuse connections, and keep those that there are, as an Engine does that is to stop."""
        with self._lock:
            if self._listener is not None:
                self._path.unlink()
                _end(self._listener)
                self._listener = None

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._path))
        listener.listen(128)
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = listener.accept()
                there = socket.socket(socket.AF_UNIX)
                with self._lock:
                    if self._listener is not listener:
                        _end(here)
                        return
                    self._open |= {here, there}
                try:
                    there.connect(str(self._to))
                except OSError:
                    self._hang_up(here, there)
                    continue
                for target, pair in self._directions(here, there):
                    threading.Thread(target=target, args=pair, daemon=True).start()

    def _directions(self, here: socket.socket, there: socket.socket) -> Directions:
        """Who carries what comes from one end to the other, for either direction."""
        return (self._pass_on, (here, there)), (self._pass_on, (there, here))

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        posts = False
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                sink.sendall(data)
                posts = posts or data.startswith(b"POST ")
                if posts and not data.endswith(b"\r\n\r\n"):  # the head may come by itself
                    posts = False
                    with self._lock:
                        self.posts += 1
        self._hang_up(source, sink)

    def _hang_up(self, *connections: socket.socket) -> None:
        with self._lock:
            self._open -= set(connections)
        for connection in connections:
            _end(connection)


class TcpLine(Line):
    """The same, on a TCP port of this host."""

    @property
    def host(self) -> str:
        """What DOCKER_HOST is for it."""
        assert self._listener is not None
        return f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def _listen(self) -> socket.socket:
        self._path.touch()
        return socket.create_server(("127.0.0.1", 0), backlog=128)


@contextmanager
def a_tcp_line(path: Path, to: Path) -> Iterator[TcpLine]:
    """A line on a port, that is cut at the end. `path` is a file to mark that by."""
    line = TcpLine(path, to)
    try:
        yield line
    finally:
        line.cut()


@contextmanager
def a_line(path: Path, to: Path) -> Iterator[Line]:
    """A line that is cut at the end."""
    line = Line(path, to)
    try:
        yield line
    finally:
        line.cut()


def _end(connection: socket.socket) -> None:
    """Wake up whoever waits for it, too, which a close alone does not do."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
