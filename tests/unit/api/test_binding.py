import errno
import os

import pytest

from service.api.server import binding
from service.errors import StartError


def told(number: int) -> str:
    with pytest.raises(StartError) as caught, binding("METRICS_PORT", "10.9.9.9", 80):
        raise OSError(number, os.strerror(number))
    return str(caught.value)


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EINVAL, errno.EAFNOSUPPORT])
def test_an_address_that_is_not_this_hosts_is_blamed(number: int) -> None:
    message = told(number)
    assert message.startswith("BIND_ADDRESS=10.9.9.9: cannot be bound (")
    assert message.endswith("; allowed is an address of this host")


def test_a_port_that_is_taken_is_blamed() -> None:
    message = told(errno.EADDRINUSE)
    assert message.startswith("METRICS_PORT=80: cannot be bound (")
    assert message.endswith("; allowed is a port that no other program listens on")


def test_a_port_for_others_is_blamed() -> None:
    message = told(errno.EACCES)
    assert message.startswith("METRICS_PORT=80: cannot be bound (")
    assert message.endswith("; allowed is a port that this user may bind")


def test_what_grpc_says_without_a_number_blames_the_port() -> None:
    port = "GRPC_SERVER_PORT=80: cannot be bound"
    with pytest.raises(StartError, match=port), binding("GRPC_SERVER_PORT", "::", 80):
        raise RuntimeError("Failed to bind")
