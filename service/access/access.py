"""Decides about calls by the clients of the access file, which may change while it runs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from observability.callers import caller, name_caller
from observability.logs import get_logger
from observability.metrics import Metrics
from service.access.audit import Record, log_call
from service.access.clients import Client, Clients, Reason
from service.access.current_call import current_call
from service.access.roles import CHANGES, WHAT_IT_ALLOWS, may_call
from service.errors import Denied

log = get_logger(__name__)

_TEXTS = {
    Reason.MISSING: "no credential; allowed is `authorization: Bearer TOKEN`, or a client's"
    " certificate where the port asks for one",
    Reason.UNKNOWN: "the credential is not a client's; allowed is one `authorization: Bearer"
    " TOKEN`, or a certificate, of a client in the access file",
}


class Refusal(NamedTuple):
    """Why a call may not go on."""

    reason: Reason
    text: str  # for the client
    client: Client | None = None
    job: str = ""
    identifier: str = ""


class Access:
    """The clients as they are now. For both ports, whose threads differ."""

    def __init__(self, clients: Clients, metrics: Metrics) -> None:
        self._clients = clients
        self._metrics = metrics
        self._subscribers: list[Callable[[], None]] = []

    def replace(self, clients: Clients) -> None:
        """Decide by other clients from now on."""
        self._clients = clients
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
        if isinstance(found, Reason):
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
