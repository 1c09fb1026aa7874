"""Which hosts and origins a request may name: what keeps other sites' pages out.

A page of another site can make a browser send requests here: under a name of its own that it has
pointed at this address (DNS rebinding), or to our name, from its own origin. Neither passes.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


class Hosts:
    """The hosts that browsers may name in `Host`."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Addresses, `localhost` and the name of this host are allowed beside `names`."""
        self._names = {"localhost", socket.gethostname().lower(), *map(str.lower, names)}

    def allows(self, host: str) -> bool:
        """Whether a value of `Host` is an address, or one of the names."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].strip("[]").rstrip(".").lower()
        return name in self._names or _is_address(name)


def same_origin(origin: str | None, fetch_site: str | None, host: str) -> bool:
    """Whether a request that changes something comes from our own page.

    Browsers send `Origin` with each such request. `null` is that of a sandboxed page.
    """
    if fetch_site not in (None, "same-origin", "none"):
        return False
    return origin is not None and urlsplit(origin).netloc == host != ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
