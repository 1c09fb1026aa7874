"""Who has sent a request: what events, and the life of a job, tell of it.

Never a metric's label: a client is another one with each connection, and calls itself what it
likes. The span of a call has the same from OpenTelemetry's interceptor (`net.peer.ip`,
`net.peer.port`, `rpc.user_agent`).
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple
from urllib.parse import unquote


class Caller(NamedTuple):
    """A client as it shows itself; empty is what is not known.

    Once clients have names, the name is a field here, and `fields` tells it.
    """

    peer: str = ""  # ADDRESS:PORT; [ADDRESS]:PORT over IPv6; what gRPC says, where it is neither
    user_agent: str = ""  # the beginning of it, as it was sent

    @property
    def fields(self) -> Mapping[str, str]:
        """What an event tells of it."""
        if self.user_agent:
            return {"peer": self.peer, "user_agent": self.user_agent}
        return {"peer": self.peer} if self.peer else {}


NOBODY = Caller()

# Characters of a user agent that are kept, which is more than are told. A client that does not
# acknowledge gRPC's settings gets past its limit for metadata, and may send megabytes.
_MOST_KEPT = 1024

# A task inherits it, and keeps it: a launch or a kill is its caller's, also once that has gone.
_current: ContextVar[Caller] = ContextVar("caller", default=NOBODY)


def caller() -> Caller:
    """Who has sent the request that this is done for; nobody, where it is done for no request."""
    return _current.get()


class CallContext:
    """A gRPC context that is asked once for what others ask again: each time costs it 2 µs.

    From when it is made, whatever its task does is done for its client.
    """

    __slots__ = ("_context", "_metadata", "_peer")

    def __init__(self, context: Any) -> None:
        self._context = context
        self._metadata = context.invocation_metadata()
        self._peer: str = context.peer()
        sent = dict(self._metadata)
        user_agent = sent.get("user-agent", "")[:_MOST_KEPT]
        _current.set(Caller(_address(self._peer), user_agent))

    def __getattr__(self, name: str) -> Any:
        """All that it is asked besides."""
        return getattr(self._context, name)

    def invocation_metadata(self) -> Any:
        """What the client has sent before its request, as pairs."""
        return self._metadata

    def peer(self) -> str:
        """Its address, as gRPC writes it."""
        return self._peer


def _address(peer: str) -> str:
    """An address without gRPC's `ipv4:` or `ipv6:`, which also escapes the brackets (`%5B`)."""
    scheme, _, address = peer.partition(":")
    if scheme == "ipv4":
        return address
    return unquote(address) if scheme == "ipv6" else peer
