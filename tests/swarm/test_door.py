"""The door that leads tasks to a test's servers stays open."""

import os
import socket

from scripts.ports import free_port
from tests.support.door import a_door

SECONDS = 10.0


def test_a_door_stays_open_while_nobody_listens_behind_it() -> None:
    port, to = free_port(), free_port()
    with a_door(os.getpid(), port, to):
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), SECONDS) as caller:
                assert not caller.recv(100)
        with socket.create_server(("127.0.0.1", to)) as server:
            caller = socket.create_connection(("127.0.0.1", port), SECONDS)
            here, _ = server.accept()
            with caller, here:
                caller.sendall(b"question")
                assert b"question" == here.recv(100)
                here.sendall(b"answer")
                assert b"answer" == caller.recv(100)
                here.close()
                assert not caller.recv(100)
