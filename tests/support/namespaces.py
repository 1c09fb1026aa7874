"""Machines of their own, as far as name and network go: namespaces, and a switch between them.

Nothing is named, and nothing is done outside: a namespace is held by a process that ends with its
owner, and the kernel removes it with the last process in it.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

_HOLD = "echo ready; cat"
_NETWORK = "10.123.0"
_BITS = 24
NETWORK = f"{_NETWORK}.0/{_BITS}"


class Namespace:
    """A network namespace, with a host name of its own, for a `with`."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--uts", "sh", "-c", _HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for its owner, which may need it for a while
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n", (
            "unshare --net --uts does not work here"
        )

    @property
    def pid(self) -> int:
        """A process in it."""
        return self._holder.pid

    def command(self, *words: str) -> list[str]:
        """A command as it runs in there."""
        return ["nsenter", f"--target={self.pid}", "--net", "--uts", *words]

    def run(self, *words: str) -> None:
        """Run a command in there."""
        subprocess.run(self.command(*words), check=True, capture_output=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.communicate()  # which closes its input


class Machine(Namespace):
    """A namespace with a name, a cable to a switch, and an address."""

    def __init__(self, switch: Namespace, number: int) -> None:
        super().__init__()
        self.name, self.address = f"node-{number}", f"{_NETWORK}.{number}"
        self.run("hostname", self.name)
        self._switch = switch
        self._port = f"port{number}"
        switch.run(
            *("ip", "link", "add", self._port, "type", "veth"),
            *("peer", "name", "eth0", "netns", str(self.pid)),
        )
        switch.run("ip", "link", "set", self._port, "master", "switch", "up")
        self.run("ip", "address", "add", f"{self.address}/{_BITS}", "dev", "eth0")
        for device in ("lo", "eth0"):
            self.run("ip", "link", "set", device, "up")

    def cut_off(self) -> None:
        """Pull the cable."""
        self._switch.run("ip", "link", "set", self._port, "down")

    def plug_in(self) -> None:
        """Put it back."""
        self._switch.run("ip", "link", "set", self._port, "up")


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """As many machines on one switch."""
    with ExitStack() as stack:
        switch = stack.enter_context(Namespace())
        switch.run("ip", "link", "add", "switch", "type", "bridge")
        switch.run("ip", "link", "set", "switch", "up")
        yield [stack.enter_context(Machine(switch, n + 1)) for n in range(count)]
