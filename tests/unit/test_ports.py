import socket
import subprocess
import sys

from scripts.ports import free_port

_SOME = "from scripts.ports import free_port; print(*[free_port() for _ in range(150)]); input()"


def test_no_two_processes_are_given_the_same_port() -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _SOME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ours = {free_port() for _ in range(150)}
    given = []
    for process in both:
        assert process.stdout
        given.append({int(port) for port in process.stdout.readline().split()})
    for process in both:
        process.communicate("\n")
    assert all(given)
    assert ours.isdisjoint(given[0] | given[1])
    assert given[0].isdisjoint(given[1])


def test_a_port_that_somebody_listens_on_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        taken = listener.getsockname()[1]
        assert taken not in {free_port() for _ in range(150)}
