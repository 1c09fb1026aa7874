"""The client that has sent a request, for log events and for the span of a job.

It is never a label of a metric: each connection has another port, and clients choose their user
agents. OpenTelemetry's interceptor puts the same facts on the span of a call (`net.peer.ip`,
`net.peer.port`, `rpc.user_agent`).
"""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple
from urllib.parse import unquote


class Caller(NamedTuple):
    """A client. Unknown fields are empty."""

    peer: str = ""  # ADDRESS:PORT or [ADDRESS]:PORT; for other schemes, as gRPC has it
    user_agent: str = ""  # as sent by the client, up to `_MOST_KEPT` characters
    client: str = ""  # its name in the access file, if there is one

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields of log events about its requests."""
        named = {"client": self.client} if self.client else {}
        if self.user_agent:
            return {"peer": self.peer, "user_agent": self.user_agent, **named}
        return {"peer": self.peer, **named} if self.peer else named

    @property
    def address(self) -> str:
        """The address of its connection, without the port."""
        return self.peer.rpartition(":")[0]


NO_CALLER = Caller()

# More than fits into a log line. A client that ignores gRPC's settings is not bound to the limit
# for metadata, and may send megabytes.
_MOST_KEPT = 1024

# Tasks inherit it: a launch or kill belongs to its caller even if the caller disconnects.
_current: ContextVar[Caller] = ContextVar("caller", default=NO_CALLER)
# The metadata of the call, from the interceptor to the context, which clears it: tasks would
# inherit and keep it, and it may be megabytes.
_metadata: ContextVar[Any] = ContextVar("metadata", default=None)


def caller() -> Caller:
    """The client whose request this task works for, or `NO_CALLER`."""
    return _current.get()


def note_caller(peer: str, user_agent: str) -> Caller:
    """Note the client whose request this task works for; its name is not known yet."""
    noted = Caller(peer, user_agent[:_MOST_KEPT])
    _current.set(noted)
    return noted


def name_caller(client: str) -> None:
    """Note the name of the client whose request this task works for."""
    peer, user_agent, _ = _current.get()
    _current.set(Caller(peer, user_agent, client))


def pass_on_metadata(metadata: Any) -> None:
    """Keep the metadata for the next `CallContext` of this task."""
    _metadata.set(metadata)


class CallContext:
    """A gRPC context that asks gRPC for metadata and peer only once: each call takes 2 µs.

    The constructor makes the client the `caller` of the current task.
    """

    __slots__ = ("_context", "_metadata", "_peer")

    def __init__(self, context: Any) -> None:
        self._context = context
        known = _metadata.get()
        _metadata.set(None)
        self._metadata = context.invocation_metadata() if known is None else known
        self._peer: str = context.peer()
        sent = dict(self._metadata)
        note_caller(_address(self._peer), sent.get("user-agent", ""))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def invocation_metadata(self) -> Any:
        return self._metadata

    def peer(self) -> str:
        return self._peer


def _address(peer: str) -> str:
    """An address without `ipv4:` or `ipv6:`, and with unescaped brackets (`%5B`)."""
    scheme, _, address = peer.partition(":")
    if scheme == "ipv4":
        return address
    return unquote(address) if scheme == "ipv6" else peer


def certificate_names(context: Any) -> tuple[str, ...]:
    """The names (SAN) in the certificate of a call's client: `spiffe://…`, `dns:…`, `ip:…`.

    TLS has verified the certificate. Empty without TLS, and if clients need no certificate. This
    asks gRPC anew for each call: keep the answer.
    """
    known = context.auth_context()
    uris = [uri for uri in _decoded(known.get("peer_uri", ())) if "://" in uri]  # not `dns:…`
    others = [
        f"{kind}:{name.lower()}"
        for kind in ("dns", "ip", "email")
        for name in _decoded(known.get(f"peer_{kind}", ()))
    ]
    return (*uris, *others)


def _decoded(names: Iterable[bytes]) -> list[str]:
    return [name.decode(errors="replace") for name in names]
