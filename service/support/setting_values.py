"""Reads the values of settings: ports, hosts, addresses, names, URLs, folders.

A value that is not allowed is a ValueError without a text: `allowed` of the setting says what is.
"""

import re
from ipaddress import ip_address
from posixpath import normpath
from socket import AF_INET6, inet_ntop
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

_LAST_PORT = 65535
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?\.?")
_IPV6 = re.compile(r"(\[)?([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(?(1)\])")
_URL = re.compile(r"(https?://[^\s\"'<>]+)?")
_WHOLE = re.compile(r"[0-9]+")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError
    return value


def _folders(value: str) -> str:
    """Paths as in PATH: each from /, as `normpath` writes it."""
    for path in value.split(":") if value else ():
        if path[:1] != "/" or path[:2] == "//" or path == "/" or normpath(path) != path:
            raise ValueError
    return value


def _host(value: str) -> str:
    """A host for HOST:PORT: an IPv6 address gets brackets."""
    if match := _IPV6.fullmatch(value):
        # Not with `str(ip_address)`, whose output changed in Python 3.13.
        return f"[{inet_ntop(AF_INET6, ip_address(match[2]).packed)}]"
    if not _HOST_NAME.fullmatch(value):
        raise ValueError
    return value


def _address(value: str) -> str:
    """HOST:PORT, as gRPC takes it: an IPv6 address has to have its brackets."""
    host, _, port = value.rpartition(":")
    if (":" in host and not host.startswith("[")) or not _WHOLE.fullmatch(port):
        raise ValueError
    if not 1 <= int(port) <= _LAST_PORT:
        raise ValueError
    return f"{_host(host)}:{int(port)}"


def _host_names(value: str) -> str:
    """Names as in a certificate, separated by commas."""
    for name in value.split(",") if value else ():
        if not _HOST_NAME.fullmatch(name):
            raise ValueError
    return value


def _url(value: str) -> str:
    """A URL of another site, for a link."""
    if not _URL.fullmatch(value):
        raise ValueError
    return value


def _trace_url(value: str) -> str:
    if value and "{trace_id}" not in value:
        raise ValueError
    return _url(value)


def _whole(value: object) -> object:
    """Digits only: Python and pydantic would also accept 5_0, +5, 5.0 and surrounding blanks."""
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise ValueError
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


IN_ANY_CASE = BeforeValidator(_lower)

Whole = Annotated[int, BeforeValidator(_whole)]
Port = Annotated[Whole, Field(ge=1, le=_LAST_PORT)]
Name = Annotated[str, AfterValidator(_name)]
Host = Annotated[str, AfterValidator(_host)]
Address = Annotated[str, AfterValidator(_address)]
HostNames = Annotated[str, AfterValidator(_host_names)]
Url = Annotated[str, AfterValidator(_url)]
TraceUrl = Annotated[str, AfterValidator(_trace_url)]
Folders = Annotated[str, AfterValidator(_folders)]
