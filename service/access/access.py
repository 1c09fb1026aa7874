"""Decides whether a client may make a call, by the access file, which may change meanwhile."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from observability.callers import caller, name_caller
from observability.logs import get_logger
from observability.metrics import Metrics
from service.access.audit import Record, log_call
from service.access.clients import Client, Clients, Reason
from service.access.current_call import current_call
from service.access.roles import CHANGES, WHAT_IT_ALLOWS, Role, may_call
from service.errors import Denied

log = get_logger(__name__)

_TEXTS = {
    Reason.MISSING: "no credential; allowed is `authorization: Bearer TOKEN`, or a client's"
    " certificate where the port asks for one",
    Reason.UNKNOWN: "the credential is not a client's; allowed is one `authorization: Bearer"
    " TOKEN`, or a certificate, of a client in the access file",
}

# The longest name that is taken from a certificate (characters).
_LONGEST_NAME = 255


class Refusal(NamedTuple):
    """Why a call was refused."""

    reason: Reason
    text: str  # for the client
    client: Client | None = None
    job: str = ""
    identifier: str = ""


MISSING = Refusal(Reason.MISSING, _TEXTS[Reason.MISSING])


class Access:
    """Decides by the clients of the moment. Both ports use it, each in a thread of its own."""

    # Whether a token names a client. Otherwise the tokens that clients send are ignored.
    accepts_tokens = True

    def __init__(self, clients: Clients, metrics: Metrics) -> None:
        self._clients = clients
        self._metrics = metrics
        self._subscribers: list[Callable[[], None]] = []
        self.fault = ""  # of the file as it is now, if it is refused

    @property
    def clients(self) -> Clients:
        """The clients as they are now."""
        return self._clients

    def replace(self, clients: Clients) -> None:
        """Replace the clients."""
        self._clients, self.fault = clients, ""
        for changed in self._subscribers:
            changed()

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Have this called after each change of the clients."""
        self._subscribers.append(changed)

    def decide(
        self, method: str, authorizations: Sequence[bytes], certificate: Sequence[str] = ()
    ) -> Client | Refusal:
        """The client of a call of SERVICE/METHOD or of a page; or why it is refused."""
        found = self._clients.find(authorizations, certificate)
        if not isinstance(found, Client):
            return Refusal(found, _TEXTS[found])
        if may_call(found.role, method):
            return found
        allowed = f"its role {found.role} allows {WHAT_IT_ALLOWS[found.role]}"
        text = f"client {found.name} may not call {method}; {allowed}"
        return Refusal(Reason.DENIED, text, found)

    def denied(self, denied: Denied) -> Refusal:
        """The refusal of an admitted call whose client may not touch the job."""
        call = current_call()
        assert call is not None
        name, role, jobs = call.client.name, call.client.role, call.client.jobs
        text = (
            f"client {name} may not call {call.method} for {denied}; its role {role} is for {jobs}"
        )
        return Refusal(Reason.DENIED, text, call.client, denied.job, denied.identifier)

    def report(self, method: str, refusal: Refusal, certificate: Sequence[str] = ()) -> None:
        """Count and log a refused call, and audit it if it would have changed something."""
        if refusal.client:
            name_caller(refusal.client.name)
        self._metrics.auth_failures.labels(refusal.reason).inc()
        log.warning("call.refused", method=method, reason=refusal.reason, **caller().fields)
        if method in CHANGES:
            record = Record(refusal.job, refusal.identifier, refusal.reason)
            log_call(method, certificate, record, refused=True)


class ByCertificate(Access):
    """Without an access file, where TLS asks every client for a certificate.

    Each of them may do everything, under the first name of its certificate.
    """

    accepts_tokens = False

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(Clients(), metrics)

    def decide(
        self,
        method: str,  # noqa: ARG002 - every one is allowed
        authorizations: Sequence[bytes],  # noqa: ARG002 - nobody has given out tokens
        certificate: Sequence[str] = (),
    ) -> Client | Refusal:
        return Client(certificate[0][:_LONGEST_NAME] if certificate else "", Role.OPERATOR)
