"""A port on another machine that leads to one of this process: how tasks find a test's servers."""

import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

_CLONE_NEWNET = 0x40000000
_CHUNK = 65536


@contextmanager
def a_door(pid: int, port: int, to: int) -> Iterator[None]:
    """Whoever connects to the port in a process's network gets to a port of our loopback."""
    with ThreadPoolExecutor(1) as pool:
        # A thread that has entered a network stays in it, and so has to end.
        listener = pool.submit(_listen, pid, port).result()
    with closing(listener):
        threading.Thread(target=_accept, args=(listener, to), daemon=True).start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # which wakes up `accept`


def _listen(pid: int, port: int) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(network, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(network)
    return socket.create_server(("", port))


def _accept(listener: socket.socket, to: int) -> None:
    with suppress(OSError):
        while True:
            here, _ = listener.accept()
            threading.Thread(target=_connect, args=(here, to), daemon=True).start()


def _connect(here: socket.socket, to: int) -> None:
    """Pass on in both directions until both have ended. Nobody may listen at this moment."""
    with here, suppress(OSError), socket.create_connection(("127.0.0.1", to)) as there:
        back = threading.Thread(target=_pass_on, args=(there, here), daemon=True)
        back.start()
        _pass_on(here, there)
        back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):  # the other direction has ended first
            each.shutdown(socket.SHUT_RDWR)
