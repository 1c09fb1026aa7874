"""The client that has sent a request, for events and for the life of a job.

It is never a label of a metric: each connection is another client, and clients name themselves as
they like. OpenTelemetry's interceptor puts the same on the span of a call (`net.peer.ip`,
`net.peer.port`, `rpc.user_agent`).
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple
from urllib.parse import unquote


class Caller(NamedTuple):
    """A client as it names itself. What is not known is empty.

    When clients get names, the name is a field here, and part of `fields`.
    """

    peer: str = ""  # ADDRESS:PORT, or [ADDRESS]:PORT over IPv6; otherwise as gRPC has it
    user_agent: str = ""  # as it was sent, up to `_MOST_KEPT` characters

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields of an event about one of its requests."""
        if self.user_agent:
            return {"peer": self.peer, "user_agent": self.user_agent}
        return {"peer": self.peer} if self.peer else {}


NOBODY = Caller()

# More than a log line has. A client that does not acknowledge gRPC's settings is not bound to the
# limit for metadata, and may send megabytes.
_MOST_KEPT = 1024

# Tasks inherit it: a launch or a kill belongs to its caller, also after the caller has hung up.
_current: ContextVar[Caller] = ContextVar("caller", default=NOBODY)
# The metadata of the call, from the interceptor to the context. They are taken out there: a task
# would keep what it inherits, and they may be megabytes.
_metadata: ContextVar[Any] = ContextVar("metadata", default=None)


def caller() -> Caller:
    """The client of the request that this task works for; `NOBODY` if there is none."""
    return _current.get()


def pass_on_metadata(metadata: Any) -> None:
    """Keep them for the `CallContext` that this task makes next."""
    _metadata.set(metadata)


class CallContext:
    """A gRPC context that asks gRPC for metadata and peer once at most: each time takes 2 µs.

    Making one makes its client the `caller` of the current task.
    """

    __slots__ = ("_context", "_metadata", "_peer")

    def __init__(self, context: Any) -> None:
        self._context = context
        known = _metadata.get()
        _metadata.set(None)
        self._metadata = context.invocation_metadata() if known is None else known
        self._peer: str = context.peer()
        sent = dict(self._metadata)
        user_agent = sent.get("user-agent", "")[:_MOST_KEPT]
        _current.set(Caller(_address(self._peer), user_agent))

    def __getattr__(self, name: str) -> Any:
        """Everything else, as gRPC has it."""
        return getattr(self._context, name)

    def invocation_metadata(self) -> Any:
        """The metadata that the client has sent, as pairs."""
        return self._metadata

    def peer(self) -> str:
        """The address of the client, as gRPC writes it."""
        return self._peer


def _address(peer: str) -> str:
    """An address without gRPC's `ipv4:` or `ipv6:`, which also escapes the brackets (`%5B`)."""
    scheme, _, address = peer.partition(":")
    if scheme == "ipv4":
        return address
    return unquote(address) if scheme == "ipv6" else peer
