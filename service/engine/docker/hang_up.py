"""Cuts connections to the Engine from another thread, whatever a call waits for."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from service.engine.docker.client import Client


class Line:
    """The connections of one client, which another thread may cut.

    docker-py's streams can be closed from another thread, but not the wait for the first byte of an
    answer, which for a pull may take as long as the pull.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cut = False
        self._sockets: list[socket.socket] = []

    def watch(self, client: Client) -> None:
        """Keep track of the connections that this client makes from now on."""
        client.close()  # the one that it has would be used again
        adapter: Any = client.get_adapter(client.base_url)
        find = adapter.get_connection_with_tls_context

        def find_watched(*args: Any, **options: Any) -> Any:
            pool = find(*args, **options)
            pool._new_conn = self._watched(pool._new_conn)  # noqa: SLF001 - as docker-py does
            return pool

        adapter.get_connection_with_tls_context = find_watched

    def cut(self) -> None:
        """End all waits for the Engine, now and later: with an error, or as if at EOF."""
        with self._lock:
            self._cut = True
            for each in self._sockets:
                _shut(each)

    def forget(self) -> None:
        """The client is done: its connections may be closed, and their numbers used again."""
        with self._lock:
            self._sockets.clear()

    def _watched(self, make: Callable[[], Any]) -> Callable[[], Any]:
        def make_watched() -> Any:
            connection = make()
            connect = connection.connect

            def connect_watched() -> None:
                connect()
                self._add(connection.sock)

            connection.connect = connect_watched
            return connection

        return make_watched

    def _add(self, made: socket.socket) -> None:
        with self._lock:
            self._sockets.append(made)
            if self._cut:
                _shut(made)


def _shut(each: socket.socket) -> None:
    # Not the method of an SSLSocket, which would remove the encryption while another thread reads.
    with suppress(OSError):
        socket.socket.shutdown(each, socket.SHUT_RDWR)
